"""What becomes of runs, and the simplest way to get there: one run after another."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from sen_bench.errors import ResultsError, SenBenchError
from sen_bench.runs import Run, complete_run
from sen_bench.system import Progress


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        run: The run.
        new: Whether there was anything to do.
        error: Why it failed, in one line; None: it did not.
    """

    run: Run
    new: bool = True
    error: str | None = None


def one_by_one(
    runs: Sequence[Run],
    *,
    progress: Progress,
    workers: int,
    log_to: tuple[str, ...],
    force: bool,
    alone: bool,
) -> Generator[Outcome, None, None]:
    """Does each run in this process. A run that fails does not stop the others.

    Args:
        runs: What is to be done.
        progress: Shows how it goes.
        workers: Processes that generate data.
        log_to: The trackers that losses go to as well, by their names.
        force: Whether to train again what is already trained.
        alone: Whether no other run was asked for.

    Raises:
        ResultsError: If the tables cannot be written.
        Exception: What makes a run fail, if it is alone.
    """
    for run in runs:
        try:
            new = complete_run(run, progress, workers=workers, log_to=log_to, force=force)
            yield Outcome(run, new)
        except ResultsError:
            raise
        # Whatever it is: models may be third-party code. The traceback is in the run's log.
        except Exception as error:
            if alone:
                raise
            yield Outcome(run, error=first_line(error))


def first_line(error: BaseException) -> str:
    """What an error says, in one line; the name of one that is not a user's mistake."""
    text = next(iter(str(error).splitlines()), "")
    return text if isinstance(error, SenBenchError) else f"{type(error).__name__}: {text}"
