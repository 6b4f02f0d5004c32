#!/usr/bin/env bash
# Installs the wheel that lies in a folder into a fresh environment, without any extra, and uses it from another
# folder as someone would who has no clone. Fails with the first command that fails.
set -euo pipefail
if (($# != 1)); then
  echo "usage: tests/wheel/trial.sh FOLDER, the folder that holds one wheel" >&2
  exit 2
fi
wheel=$(realpath "$1"/*.whl)
constraints=$(realpath "$(dirname "$0")/../../constraints.txt")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
cd "$folder"

say() {
  local began=$SECONDS
  echo "\$ $*"
  "$@"
  echo "($((SECONDS - began)) s)"
}

say "${PYTHON:-python3}" -m venv env
PATH=$folder/env/bin:$PATH
# Compiling every module of every package would take longer than all that follows.
say pip install --quiet --no-compile --constraint "$constraints" "$wheel"
say sen-bench --version
say sen-bench tasks
say sen-bench generate 2d-shapes --episodes 20 --horizon 10 --out small --quiet
say sen-bench verify small/2d-shapes/*.zarr
say sen-bench run 2d-shapes --preset smoke --models none --device cpu --workers 2 --quiet
say sen-bench leaderboard --format latex
say sen-bench report
# Every name of the face is there, the package is the installed one, and the run has left its row and its page.
say python - <<'END'
from pathlib import Path

import pandas as pd

import sen_bench as sb

assert Path(sb.__file__).is_relative_to(Path("env").resolve()), sb.__file__
for name in sb.__all__:
    assert getattr(sb, name) is not None, name
table = pd.read_csv("results/leaderboard.csv")
assert set(table["model"]) == {"none"}, table
assert Path("results/index.html").stat().st_size > 0
print(f"{len(sb.__all__)} names of the face, {len(table)} rows of the leaderboard")
END
