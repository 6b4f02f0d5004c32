"""The comparison behind `make bench`: what is slower, missing or new, on results made up for it."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.benchmarks.calibration import Calibration, combined, least
from tests.benchmarks.gate import (
    BASELINE,
    Baseline,
    GateError,
    best_of,
    compare,
    main,
    read_results,
    renewed,
)

RATIOS = {"test_render": 100.0, "test_step": 20.0, "test_write": 5.0}


def baseline(**changes: Any) -> Baseline:
    values = {"measured_on": "a desk", "factor": 2.0, "factors": {}, "ratios": RATIOS}
    return Baseline.model_validate(values | changes)


def results(
    path: Path, ratios: dict[str, float], *, kernel: float = 1e-3, timer: str = "process_time"
) -> Path:
    """The JSON of a run with those ratios on a machine whose kernel takes so long, as far as it is read."""
    benchmarks = [
        {
            "name": name,
            "options": {"timer": timer},
            "extra_info": {"calibration": {"product": 4 * kernel * slowed, "sort": kernel / 4}},
            "stats": {"min": ratio * kernel, "median": 1e6},
        }
        # Neighbours slow the kernel in all but one of its timings.
        for (name, ratio), slowed in zip(ratios.items(), [3.0, 1.0, 2.0, 9.0], strict=False)
    ]
    info = {"cpu": {"brand_raw": "a processor"}, "machine": "x86_64", "python_version": "3.11.2"}
    path.write_text(json.dumps({"machine_info": info, "benchmarks": benchmarks}))
    return path


def verdicts(path: Path, against: Baseline) -> dict[str, str]:
    return {line.name: line.verdict for line in compare(against, read_results(path))}


@pytest.fixture
def invoke(tmp_path: Path) -> Any:
    (tmp_path / "baseline.json").write_text(baseline().model_dump_json())

    def call(command: str, *files: Path) -> Result:
        arguments = [command, *map(str, files), "--baseline", str(tmp_path / "baseline.json")]
        return CliRunner().invoke(main, arguments)

    return call


def test_a_slow_kernel_fails_by_its_own_name_only(tmp_path: Path, invoke: Any) -> None:
    slow = results(tmp_path / "run.json", RATIOS | {"test_step": 2.1 * RATIOS["test_step"]})
    done = invoke("compare", slow)
    assert done.exit_code == 1
    rows = done.output.splitlines()
    # The worst is the first row under the heading.
    assert rows[2].split() == ["test_step", "42.00", "42", "20", "2.10", "2", "SLOWER"]
    assert [row.split()[-1] for row in rows[3:5]] == ["ok", "ok"]
    assert any(row.startswith("SLOWER: test_step: ") for row in rows)
    assert rows[-1] == "1 of 3 failed"


def test_what_is_within_the_factor_passes(tmp_path: Path, invoke: Any) -> None:
    done = invoke("compare", results(tmp_path / "run.json", {k: 1.9 * v for k, v in RATIOS.items()}))
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "all 3 within their limits"


@pytest.mark.parametrize("kernel", [1e-4, 1e-2])
def test_a_machine_that_is_slower_at_everything_is_no_regression(tmp_path: Path, kernel: float) -> None:
    found = verdicts(results(tmp_path / "run.json", RATIOS, kernel=kernel), baseline())
    assert set(found.values()) == {"ok"}


def test_a_benchmark_may_have_a_factor_of_its_own(tmp_path: Path) -> None:
    path = results(tmp_path / "run.json", {k: 2.5 * v for k, v in RATIOS.items()})
    assert verdicts(path, baseline(factors={"test_write": 3.0})) == {
        "test_render": "SLOWER",
        "test_step": "SLOWER",
        "test_write": "ok",
    }


def test_a_benchmark_that_was_not_run_fails(tmp_path: Path, invoke: Any) -> None:
    left = {name: ratio for name, ratio in RATIOS.items() if name != "test_render"}
    done = invoke("compare", results(tmp_path / "run.json", left))
    assert done.exit_code == 1
    assert done.output.splitlines()[2].startswith("test_render")
    assert "MISSING: test_render: in the baseline, but not run" in done.output


def test_a_new_benchmark_is_reported_and_passes(tmp_path: Path, invoke: Any) -> None:
    done = invoke("compare", results(tmp_path / "run.json", RATIOS | {"test_other": 1e9}))
    assert done.exit_code == 0
    assert "new: test_other: not in the baseline" in done.output


def test_a_slowdown_must_be_in_every_run(tmp_path: Path, invoke: Any) -> None:
    first = results(tmp_path / "1.json", RATIOS | {"test_step": 90.0})
    assert invoke("compare", first, results(tmp_path / "2.json", RATIOS)).exit_code == 0
    assert invoke("compare", first, first).exit_code == 1
    best = best_of([read_results(first), read_results(tmp_path / "2.json")])
    assert {name: measured.ratio for name, measured in best.items()} == pytest.approx(RATIOS)


def test_a_great_gain_asks_for_a_new_baseline(tmp_path: Path, invoke: Any) -> None:
    done = invoke("compare", results(tmp_path / "run.json", RATIOS | {"test_step": 9.0}))
    assert done.exit_code == 0
    assert "faster: test_step: `make bench-baseline`" in done.output


def test_a_new_baseline_is_the_median_and_keeps_the_factors(tmp_path: Path, invoke: Any) -> None:
    old = baseline(factor=1.7, factors={"test_write": 3.0, "test_gone": 4.0})
    (tmp_path / "baseline.json").write_text(old.model_dump_json())
    ratios = [{"test_step": 21.0, "test_write": 6.0}, {"test_step": 99.0, "test_write": 5.0}]
    ratios.append({"test_step": 22.0, "test_write": 7.0})
    done = invoke("renew", *(results(tmp_path / f"{n}.json", run) for n, run in enumerate(ratios)))
    assert done.exit_code == 0, done.output
    new = Baseline.read(tmp_path / "baseline.json")
    assert new.ratios == {"test_step": 22.0, "test_write": 6.0}
    assert (new.factor, new.factors) == (1.7, {"test_write": 3.0})
    assert new.measured_on == "a processor, Python 3.11.2"


def test_a_baseline_needs_every_benchmark_in_all_runs(tmp_path: Path) -> None:
    whole = read_results(results(tmp_path / "1.json", RATIOS))
    with pytest.raises(GateError, match="test_step is not in all runs"):
        renewed(None, [whole, {name: whole[name] for name in ("test_render", "test_write")}], "a desk")


def test_results_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(GateError, match="No such file"):
        read_results(path)
    path.write_text("[]")
    with pytest.raises(GateError, match="not the JSON of pytest-benchmark"):
        read_results(path)
    with pytest.raises(GateError, match="clock perf_counter"):
        read_results(results(path, RATIOS, timer="perf_counter"))
    once = json.loads(results(path, RATIOS).read_text())
    path.write_text(json.dumps(once | {"benchmarks": once["benchmarks"] * 2}))
    with pytest.raises(GateError, match="two benchmarks are called test_render"):
        read_results(path)
    del once["benchmarks"][0]["extra_info"]["calibration"]
    path.write_text(json.dumps(once))
    with pytest.raises(GateError, match="not measured beside the calibration kernel"):
        read_results(path)


def test_a_baseline_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    with pytest.raises(GateError, match="make bench-baseline"):
        Baseline.read(path)
    path.write_text(baseline().model_dump_json().replace("20.0", "-1"))
    with pytest.raises(GateError, match=r"ratios\.test_step"):
        Baseline.read(path)


def test_what_the_committed_baseline_names_is_marked(pytestconfig: pytest.Config) -> None:
    committed = Baseline.read(BASELINE)
    assert set(committed.factors) <= set(committed.ratios)
    text = "".join(path.read_text() for path in (pytestconfig.rootpath / "tests/benchmarks").glob("*.py"))
    assert {name.split("[")[0] for name in committed.ratios} <= {
        part.split("def ", 1)[1].split("(")[0] for part in text.split("@pytest.mark.gate\n")[1:]
    }


def test_the_kernel_takes_the_fastest_round_of_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    # The CPU clock is read before and after each of the three parts, in each of two rounds.
    seconds = [4.0, 9.0, 1.0, 2.0, 16.0, 8.0]
    ticks = itertools.chain.from_iterable((0.0, second) for second in seconds)
    monkeypatch.setattr(time, "process_time", lambda: next(ticks))
    timing = Calibration().seconds(rounds=2)
    assert timing == {"product": 2.0, "memory": 9.0, "sort": 1.0}
    assert combined(timing) == pytest.approx(18 ** (1 / 3))


def test_a_run_is_measured_by_the_least_of_its_kernels() -> None:
    assert least([{"a": 3.0, "b": 1.0}, {"a": 2.0, "b": 5.0}]) == {"a": 2.0, "b": 1.0}
