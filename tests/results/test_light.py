"""Result tables need neither PyTorch nor tasks nor datasets: they are read where nothing can be trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

_USE = """
import sys
from pathlib import Path

import sen_bench.results as results

source = results.ResultsFolder(Path("results"))
target = results.ResultsFolder(Path(sys.argv[1]))
results.read_curves(source.curves_csv)
results.read_published()
results.merge_results([source.path], target.path, {"3d-blocks": "sen"}.get)
results.aggregate(results.read_runs(target.runs_csv), {"3d-blocks": "sen"}.get)
for name in results.__all__:
    getattr(results, name)
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("sen_bench.")}
print(*sorted(rooms), *sorted({"torch", "zarr", "gymnasium", "numba", "mujoco"} & set(sys.modules)))
"""


def test_reading_merging_and_averaging_results_loads_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _USE, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert set(done.stdout.split()) <= {"_version", "errors", "results", "system"}
