"""What the benchmarks share."""

from tests.benchmarks.ratios import device, one_thread, pytest_terminal_summary, report_ratio

__all__ = ["device", "one_thread", "pytest_terminal_summary", "report_ratio"]
