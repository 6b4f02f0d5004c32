# Two commands do all the set-up: `make demo` runs the main job, `make test` the tests.

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

.PHONY: help demo test lint bench clean

help:
	@echo "make demo   data, three models and a leaderboard at toy size, in a few minutes"
	@echo "make test   everything CI checks: style, types, import layers, tests"
	@echo "make bench  the benchmark suite, with figures"
	@echo "make clean  removes the environment and what the demo wrote"

# The environment is made once, and again when what it is made from changes.
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/installed
	$(BIN)/sen-bench run 3d-blocks --preset smoke --device cpu --workers $(WORKERS) \
	  --data demo/data --runs demo/runs --results demo/results

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest

bench: .venv/installed
	$(BIN)/pytest tests/benchmarks --benchmark-enable --benchmark-only

clean:
	rm -rf .venv demo
