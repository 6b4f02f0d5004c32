"""The group of studies: what the benchmark answers with many runs."""

from __future__ import annotations

import click

from sen_bench.cli.study_data import data_command
from sen_bench.cli.study_orbit import orbit_command


@click.group("study")
def study_command() -> None:
    """Answer a question with many runs, a table and a figure.

    \b
    Examples:
      sen-bench study data --task 2d-shapes --preset smoke --fractions 0.1,1
      sen-bench study orbit --task 2d-shapes --preset smoke
    """


study_command.add_command(data_command)
study_command.add_command(orbit_command)
