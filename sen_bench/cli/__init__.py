"""The command line: ``sen-bench``."""


def main() -> None:
    """Runs the command line.

    The commands are imported here and not above, because worker processes import this module as the main one
    again and have no use for PyTorch.
    """
    from sen_bench.cli.main import main as commands  # noqa: PLC0415

    commands()
