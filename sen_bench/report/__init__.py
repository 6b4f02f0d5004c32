"""The page of results: tables in, one HTML file out that needs nothing else."""

from sen_bench.report.entries import usable_tasks
from sen_bench.report.page import Page, build_page
from sen_bench.report.rendering import render_page, write_page
from sen_bench.report.tables import Tables, read_tables
from sen_bench.report.worlds import WorldPictures, draw_world

__all__ = [
    "Page",
    "Tables",
    "WorldPictures",
    "build_page",
    "draw_world",
    "read_tables",
    "render_page",
    "usable_tasks",
    "write_page",
]
