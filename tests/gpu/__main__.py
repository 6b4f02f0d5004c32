"""One command for a borrowed GPU: `python -m tests.gpu --out FOLDER`; see docs/performance.md.

It tests what needs a GPU, times the steps of every model, and trains runs of the preset `paper` in the order
of what they decide, within a time that it keeps to itself. The folder has at most 8 files at the end:
`session.log`, `steps.csv`, `runs.csv`, `curves.csv`, and up to 4 parts of an archive of all runs, which the
next session goes on with (`--resume`).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import click

from tests.gpu.archive import PART, pack, unpack
from tests.gpu.plan import PLANS, Models, Plan
from tests.gpu.session import Session, run_within
from tests.gpu.step_times import PLAIN
from tests.paths import ROOT

PARTS: Final = 4
PART_BYTES: Final = 15 << 20
"""What a borrowed machine gives back: files of up to 16 MiB, 64 MiB together."""
RESERVE: Final = 20.0
"""Seconds that packing may take."""
_TABLES: Final = ("runs.csv", "curves.csv")


class _Work:
    """The stages of a session.

    Args:
        plan: What is done.
        session: The session.
        folder: Where data, runs and tables are.
        out: Where what is to be kept goes.
    """

    def __init__(self, plan: Plan, session: Session, folder: Path, out: Path) -> None:
        self._plan = plan
        self._session = session
        self._folder = folder
        self._out = out
        self._preset = plan.preset
        if "\n" in plan.preset:
            path = folder / "toy.toml"
            path.write_text(plan.preset, encoding="utf-8")
            self._preset = str(path)
        # All processes find what one of them has compiled.
        cache = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "compiled")}
        self._environment = {**os.environ, **cache, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    def do(self) -> None:
        """Does all stages."""
        plan, session = self._plan, self._session
        if plan.tests:
            session.stage("tests", self._tester("not slow"), most=plan.seconds_of_tests)
        until = session.left - plan.seconds_of_times
        # One precision of all models before the next one, as there will hardly be time for all.
        for number, precision in enumerate(plan.precisions if plan.models else ()):
            cheap = [form for form in plan.cheap if form != PLAIN or number == 0]
            for models in plan.models:
                self._time(models, cheap, precision, until)
            if plan.compiled:
                most = session.left - until
                session.stage(f"compile in {precision}", self._compiler(precision), most=most)
            for models in plan.models if plan.compiled else ():
                self._time(models, plan.compiled, precision, until)
        if plan.tests and plan.compiled:
            session.stage("tests that compile", self._tester("slow"), most=plan.seconds_of_tests)
        for run in plan.runs:
            session.stage(f"train {' '.join(run)}", self._trainer(*run), least=30)

    def _run(self, *commands: list[str], seconds: float, **environment: str) -> None:
        run_within(
            commands,
            seconds,
            log=self._session.log,
            folder=self._folder,
            environment={**self._environment, **environment},
        )

    def _tester(self, marks: str) -> Callable[[float], None]:
        # Not the options of the whole suite, for which a bare machine may lack plugins; a line for each test,
        # should there be no time for all.
        options = ["-v", "-m", marks, "-p", "no:cacheprovider", "-o", "addopts=", f"--rootdir={ROOT}"]
        command = [sys.executable, "-m", "pytest", *options, *(str(ROOT / test) for test in self._plan.tests)]
        return lambda seconds: self._run(command, seconds=seconds)

    def _time(self, models: Models, forms: Sequence[str], precision: str, until: float) -> None:
        """Times forms of the models of a task, if the time for that is not used up."""
        command = self._timing(models, forms, precision, self._plan.steps)
        command += ["--csv", str(self._out / "steps.csv")]
        name = f"time {models[0]} {', '.join(models[1])} in {precision} ({', '.join(forms)})"
        self._session.stage(
            name, lambda seconds: self._run(command, seconds=seconds), most=self._session.left - until
        )

    def _compiler(self, precision: str) -> Callable[[float], None]:
        """Compiles all models side by side, so that their times can be taken one by one without waiting."""

        def compile_all(seconds: float) -> None:
            each = [(task, (model,)) for task, models in self._plan.models for model in models]
            commands = [self._timing(models, self._plan.compiled[:1], precision, 1) for models in each]
            self._run(*commands, seconds=seconds, TORCHINDUCTOR_COMPILE_THREADS="2")

        return compile_all

    def _timing(self, models: Models, forms: Iterable[str], precision: str, steps: int) -> list[str]:
        command = [sys.executable, "-m", "tests.gpu.step_times", models[0], *models[1]]
        command += ["--preset", self._preset, "--device", self._plan.device, "--steps", str(steps)]
        command += [part for form in forms for part in ("--form", form)]
        return [*command, "--precision", precision]

    def _trainer(self, task: str, split: str, model: str) -> Callable[[float], None]:
        command = [sys.executable, "-m", "sen_bench", "run", task, "--train-split", split, "--model", model]
        command += ["--preset", self._preset, "--seeds", "0", "--precision", self._plan.precision]
        command += ["--device", self._plan.device, "--workers", str(self._plan.workers)]
        return lambda seconds: self._run(command, seconds=seconds)

    def keep(self) -> None:
        """Puts what is there into the folder that is kept."""
        for name in _TABLES:
            if (self._folder / "results" / name).exists():
                shutil.copy(self._folder / "results" / name, self._out / name)
        for run in pack(self._folder, self._out, parts=PARTS, part_bytes=PART_BYTES):
            self._session.say(f"{run} does not fit into the archive")


@click.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Empty or new.")
@click.option("--minutes", default=12.0, show_default=True, help="How long all of it may take.")
@click.option("--plan", "name", type=click.Choice(list(PLANS)), default="paper", show_default=True)
@click.option(
    "--resume",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of an earlier session, whose runs are gone on with.",
)
def main(*, out: Path, minutes: float, name: str, resume: Path | None) -> None:
    """Tests, times and trains on a GPU within a given time."""
    hold(PLANS[name], out, minutes=minutes, resume=resume)


def hold(plan: Plan, out: Path, *, minutes: float, resume: Path | None) -> None:
    """Holds a session.

    Args:
        plan: What is done.
        out: Where what is to be kept goes.
        minutes: How long all of it may take.
        resume: The folder of an earlier session; None: there was none.

    Raises:
        click.UsageError: If something is in that place already.
    """
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise click.UsageError(f"{out} is not empty")
    session = Session(out / "session.log", seconds=60 * minutes, reserve=RESERVE)
    with tempfile.TemporaryDirectory(prefix="sen-bench-gpu-") as folder:
        work = _Work(plan, session, Path(folder), out)
        if resume is not None:
            unpack(list(resume.glob(f"{PART}*")), Path(folder))
            session.say(f"goes on with the runs of {resume}")
        try:
            work.do()
        finally:
            work.keep()
            session.say("the end")


if __name__ == "__main__":
    main()
