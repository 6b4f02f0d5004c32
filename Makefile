# Every target makes the environment it needs: `make demo` runs the main job, `make test` the tests.

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
# One more than there are cores: many tests wait for processes of theirs and for the disk.
TEST_WORKERS ?= 3

.PHONY: help install demo test lint pytest bench bench-baseline bench-full quality dist wheel-test docs docs-serve clean

help:
	@echo "make install         only the environment .venv, with all extras and the tools to develop"
	@echo "make demo            data, three models and a leaderboard at toy size, in a few minutes"
	@echo "make test            style, types, import layers, tests"
	@echo "make lint            style, types, import layers alone"
	@echo "make pytest          the tests alone"
	@echo "make bench           times the marked benchmarks, and fails if one is slower than its baseline allows"
	@echo "make bench-baseline  measures three times, and makes that the baseline"
	@echo "make bench-full      the whole benchmark suite, with figures; compares with nothing"
	@echo "make quality         trains the preset smoke and two models of motion anew, and fails if a score is below its floor"
	@echo "make dist            builds sdist and wheel, and checks what they say of themselves"
	@echo "make wheel-test      installs that wheel into a fresh environment, and uses it from another folder"
	@echo "make docs            executes the notebooks and builds the documentation site; fails at a dead link"
	@echo "make docs-serve      the same on http://127.0.0.1:8000, anew after every change"
	@echo "make clean           removes the environment and what the demo and the checks wrote"

# The environment is made once, and again when what it is made from changes.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: .venv/installed

demo: .venv/installed
	$(BIN)/sen-bench run 3d-blocks --preset smoke --device cpu --workers $(WORKERS) \
	  --data demo/data --runs demo/runs --results demo/results

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Side by side: checking types takes a core for a minute or two, while the other one would have nothing to do.
test: .venv/installed
	$(MAKE) --jobs=2 lint pytest

# The tests of a file stay together, as they share what is slow to make. tests/conftest.py says which files are first.
pytest: .venv/installed
	$(BIN)/pytest --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

# One thread and the CPU clock: what else the machine does then matters little.
MEASURE := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest -q tests/benchmarks -m gate \
  --benchmark-enable --benchmark-only --benchmark-timer=time.process_time --benchmark-max-time=0.5 \
  --benchmark-quiet
GATE := $(BIN)/python -m tests.benchmarks.gate
MEASURED := .benchmarks/gate

# A slowdown must be there twice.
bench: .venv/installed
	@mkdir -p .benchmarks
	$(MEASURE) --benchmark-json=$(MEASURED)-1.json
	@$(GATE) compare $(MEASURED)-1.json || { [ $$? -eq 1 ] || exit 2; echo "once more:"; \
	  $(MEASURE) --benchmark-json=$(MEASURED)-2.json && $(GATE) compare $(MEASURED)-1.json $(MEASURED)-2.json; }

bench-baseline: .venv/installed
	@mkdir -p .benchmarks
	for run in 1 2 3; do $(MEASURE) --benchmark-json=$(MEASURED)-$$run.json || exit 1; done
	$(GATE) renew $(MEASURED)-1.json $(MEASURED)-2.json $(MEASURED)-3.json

bench-full: .venv/installed
	$(BIN)/pytest tests/benchmarks --benchmark-enable --benchmark-only

# From nothing: a run that is finished would not be done again, whatever has changed since.
quality: .venv/installed
	rm -rf quality
	$(BIN)/sen-bench run --all --preset smoke --device cpu --jobs $(WORKERS) \
	  --data quality/data --runs quality/runs --results quality/results
	$(BIN)/sen-bench run rush-hour --preset motion --model sen --seeds 0 --device cpu \
	  --set training.epochs=6 --set data.eval.episodes=500 \
	  --data quality/data --runs quality/runs --results quality/results
	$(BIN)/sen-bench run reacher --preset motion --model none --seeds 0 --device cpu \
	  --set data.train.episodes=1000 --set data.eval.episodes=300 \
	  --data quality/data --runs quality/runs --results quality/results
	$(BIN)/python -m tests.quality.floors quality/results/runs.csv

# The wheel is built from the sdist, so both are known to be whole.
dist: .venv/installed
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/twine check --strict dist/*

wheel-test: dist
	PYTHON=$(PYTHON) tests/wheel/trial.sh dist

docs: .venv/installed
	$(BIN)/mkdocs build --strict

docs-serve: .venv/installed
	$(BIN)/mkdocs serve --strict

clean:
	rm -rf .venv demo quality dist site .benchmarks/gate-*.json
