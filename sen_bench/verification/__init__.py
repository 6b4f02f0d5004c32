"""Verifying a dataset: its files, its contents, and that its recipe gives it again."""

from sen_bench.verification._verify import Report as Report
from sen_bench.verification._verify import verify as verify
