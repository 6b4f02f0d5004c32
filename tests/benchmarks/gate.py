"""Compares runs of the benchmarks with the committed baseline: `make bench`, `make bench-baseline`.

What is compared is no time but a ratio: the fastest round of a benchmark, in units of the calibration kernel,
which is timed before and after each benchmark of the run. See docs/ci.md.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import click
from pydantic import BaseModel, ConfigDict, PositiveFloat, ValidationError

from sen_bench.errors import SenBenchError
from sen_bench.system.files import write_atomically
from tests.benchmarks.calibration import combined, least
from tests.support.reports import plain_table, run_program

BASELINE: Final = Path(__file__).with_name("baseline.json")
FACTOR: Final = 1.75
"""The limit of a baseline that is the first; docs/ci.md has the measurements behind it."""
CLOCK: Final = "process_time"
"""The clock benchmarks are compared by: time that others had the processor is not counted."""


class GateError(SenBenchError):
    """Results or a baseline that cannot be compared."""


class Baseline(BaseModel):
    """What `baseline.json` holds.

    Attributes:
        measured_on: The machine, for those who read the file.
        factor: How many times slower than the baseline a benchmark may be.
        factors: The same for single benchmarks, by name.
        ratios: Name -> fastest round over calibration kernel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measured_on: str
    factor: PositiveFloat
    factors: dict[str, PositiveFloat]
    ratios: dict[str, PositiveFloat]

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Reads a baseline.

        Raises:
            GateError: If there is none, or it is not one.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise GateError(f"{path}: {error.strerror}; `make bench-baseline` writes it") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise GateError(f"{path} is not a baseline: {where}: {first['msg']}") from error

    def limit(self, name: str) -> float:
        """How many times slower than the baseline a benchmark may be."""
        return self.factors.get(name, self.factor)


@dataclass(frozen=True)
class Measurement:
    """One benchmark of one run.

    Attributes:
        seconds: CPU seconds of the fastest round.
        ratio: The same in units of the calibration kernel.
    """

    seconds: float
    ratio: float


def read_results(path: Path) -> dict[str, Measurement]:
    """Reads what `pytest --benchmark-json` wrote, by the names of the benchmarks.

    Raises:
        GateError: If it cannot be read, was measured by another clock or without the calibration kernel, or
            has two benchmarks of one name.
    """
    try:
        benchmarks: list[dict[str, Any]] = json.loads(path.read_bytes())["benchmarks"]
    except OSError as error:
        raise GateError(f"{path}: {error.strerror}; `make bench` writes it") from error
    except (ValueError, KeyError, TypeError) as error:
        raise GateError(f"{path} is not the JSON of pytest-benchmark") from error
    seconds: dict[str, float] = {}
    kernels: list[dict[str, float]] = []
    for entry in benchmarks:
        name: str = entry["name"]
        if name in seconds:
            raise GateError(f"{path}: two benchmarks are called {name}; rename one")
        clock = entry["options"]["timer"]
        if clock != CLOCK:
            raise GateError(
                f"{path}: {name} was measured by the clock {clock}, not {CLOCK}; use `make bench`"
            )
        if "calibration" not in entry["extra_info"]:
            raise GateError(f"{path}: {name} was not measured beside the calibration kernel")
        kernels.append(entry["extra_info"]["calibration"])
        seconds[name] = entry["stats"]["min"]
    # Of the whole run: neighbours slow the kernel more than most benchmarks.
    unit = combined(least(kernels))
    return {name: Measurement(fastest, fastest / unit) for name, fastest in seconds.items()}


def best_of(runs: Sequence[Mapping[str, Measurement]]) -> dict[str, Measurement]:
    """The lower ratio of each benchmark: a slowdown that is real is there in every run."""
    best: dict[str, Measurement] = {}
    for run in runs:
        for name, measured in run.items():
            best[name] = min(measured, best.get(name, measured), key=lambda m: m.ratio)
    return best


@dataclass(frozen=True)
class Line:
    """One benchmark beside its baseline.

    Attributes:
        name: Of the benchmark.
        measured: None if it was not run.
        baseline: The ratio of the baseline; None if that does not know the benchmark.
        limit: How many times the baseline is too much.
    """

    name: str
    measured: Measurement | None
    baseline: float | None
    limit: float

    @property
    def slowdown(self) -> float | None:
        """How many times slower than the baseline; below 1 it is faster."""
        if self.measured is None or self.baseline is None:
            return None
        return self.measured.ratio / self.baseline

    @property
    def verdict(self) -> str:
        """Capitals are failures."""
        if self.measured is None:
            return "MISSING"
        if self.slowdown is None:
            return "new"
        if self.slowdown > self.limit:
            return "SLOWER"
        return "faster" if self.slowdown < 1 / self.limit else "ok"

    @property
    def failed(self) -> bool:
        """Whether it fails the run."""
        return self.verdict in {"MISSING", "SLOWER"}


def compare(baseline: Baseline, results: Mapping[str, Measurement]) -> list[Line]:
    """Every benchmark of either, the worst first: missing ones, then by slowdown, new ones last."""
    lines = [
        Line(name, results.get(name), baseline.ratios.get(name), baseline.limit(name))
        for name in {*baseline.ratios, *results}
    ]
    return sorted(
        lines, key=lambda line: (line.measured is not None, line.verdict == "new", -(line.slowdown or 0))
    )


def format_lines(lines: Sequence[Line]) -> str:
    """A table, and under it what to do about its failures."""
    rows = [
        (
            line.name,
            "-" if line.measured is None else f"{1000 * line.measured.seconds:.2f}",
            "-" if line.measured is None else f"{line.measured.ratio:.3g}",
            "-" if line.baseline is None else f"{line.baseline:.3g}",
            "-" if line.slowdown is None else f"{line.slowdown:.2f}",
            f"{line.limit:g}",
            line.verdict,
        )
        for line in lines
    ]
    said = [plain_table(_COLUMNS, rows), ""]
    for verdict, meaning in _MEANINGS.items():
        names = [line.name for line in lines if line.verdict == verdict]
        if names:
            said.append(f"{verdict}: {', '.join(names)}: {meaning}")
    failures = sum(line.failed for line in lines)
    said.append(f"{failures} of {len(lines)} failed" if failures else f"all {len(lines)} within their limits")
    return "\n".join(said)


_COLUMNS: Final[dict[str, Literal["left", "right"]]] = {
    "benchmark": "left",
    "CPU ms": "right",
    "ratio": "right",
    "baseline": "right",
    "times slower": "right",
    "limit": "right",
    "verdict": "left",
}
_MEANINGS: Final = {
    "MISSING": "in the baseline, but not run; put it back, or `make bench-baseline` if it is gone for good",
    "SLOWER": "beyond the limit; mend it, or `make bench-baseline` if the slowdown is wanted",
    "faster": "`make bench-baseline` keeps it so",
    "new": "not in the baseline; `make bench-baseline` takes it in",
}


def renewed(old: Baseline | None, runs: Sequence[Mapping[str, Measurement]], machine: str) -> Baseline:
    """A baseline of the median ratios of some runs; factors stay as they were.

    Raises:
        GateError: If a benchmark is not in all of the runs.
    """
    names = sorted(set().union(*runs))
    for name in names:
        if not all(name in run for run in runs):
            raise GateError(f"{name} is not in all runs; measure again")
    return Baseline(
        measured_on=machine,
        factor=old.factor if old else FACTOR,
        factors={name: factor for name, factor in (old.factors if old else {}).items() if name in names},
        # Four digits: more would only make differences between baselines longer.
        ratios={name: float(f"{statistics.median(run[name].ratio for run in runs):.4g}") for name in names},
    )


@click.group()
def main() -> None:
    """Compare benchmark results with the baseline, or make them the baseline."""


_files = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
_baseline = click.option("--baseline", type=click.Path(path_type=Path), default=BASELINE, show_default=True)


@main.command("compare")
@_files
@_baseline
def compare_command(files: tuple[Path, ...], baseline: Path) -> None:
    """Print the table, and exit with 1 if a benchmark is missing or too slow in every one of FILES."""
    lines = compare(Baseline.read(baseline), best_of([read_results(path) for path in files]))
    click.echo(format_lines(lines))
    sys.exit(any(line.failed for line in lines))


@main.command("renew")
@_files
@_baseline
def renew_command(files: tuple[Path, ...], baseline: Path) -> None:
    """Write the median of FILES as the baseline."""
    old = Baseline.read(baseline) if baseline.exists() else None
    info = json.loads(files[0].read_bytes())["machine_info"]
    machine = f"{info['cpu'].get('brand_raw', info['machine'])}, Python {info['python_version']}"
    new = renewed(old, [read_results(path) for path in files], machine)
    write_atomically(baseline, lambda draft: draft.write_text(new.model_dump_json(indent=2) + "\n"))
    click.echo(f"{baseline}: {len(new.ratios)} benchmarks")


if __name__ == "__main__":
    run_program(main)
