"""Verifying a dataset: its files, its contents, and that its recipe gives it again."""

from sen_bench.checks.dataset import Report as Report
from sen_bench.checks.dataset import verify as verify
