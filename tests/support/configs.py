"""The settings of runs, for tests that make them from a preset."""

from __future__ import annotations

from sen_bench.config.presets import TaskPreset
from sen_bench.config.settings import RunConfig
from sen_bench.tasks.models import resolve_model
from sen_bench.tasks.registry import get_task
from sen_bench.tasks.settings import check_preset, run_config


def config_of(task: str, model: str, train_split: str, preset: TaskPreset) -> RunConfig:
    """The settings of a run, checked as the command line checks them."""
    chosen = get_task(task)
    check_preset(chosen, preset)
    return run_config(resolve_model(chosen, model, preset.models.get(model, {})), train_split, preset)
