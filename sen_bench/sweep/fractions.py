"""Studies of data: the same models on nested parts of a training split, for the same number of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sen_bench.config import RunConfig, TrainingConfig, make_variant, setting_path
from sen_bench.errors import ConfigError
from sen_bench.runs import Run, RunData
from sen_bench.sweep.selection import Selection, select_runs
from sen_bench.system import QUIET, Progress, number_of
from sen_bench.tasks import get_task

_FROM_EPOCH: Final = ("batch_size_from_epoch", "learning_rate_of_from_epoch", "negatives_from_epoch")


@dataclass(frozen=True)
class FractionRun:
    """A run on a part of a training split.

    Attributes:
        run: The run.
        fraction: The share of the episodes that was asked for.
        steps: Steps of the optimiser that its training takes.
    """

    run: Run
    fraction: float
    steps: int

    @property
    def episodes(self) -> int:
        """Episodes that it trains on."""
        return self.run.train_recipe.episodes

    @property
    def transitions(self) -> int:
        """Transitions that it trains on."""
        return self.episodes * self.run.train_recipe.horizon


def select_fractions(
    selection: Selection, fractions: Sequence[float], progress: Progress = QUIET
) -> list[FractionRun]:
    """The runs of a study: every model and seed on the first episodes of a training split.

    Each part is the beginning of the larger ones. Runs on it take as many epochs as give it the number of
    steps that the whole split gets, up to whole epochs, and what changes with an epoch changes after as many
    steps. The whole split is trained on as by any other run with these settings.

    Args:
        selection: One task and one training split, with models, seeds, preset and settings.
        fractions: Shares of the episodes, in (0, 1]; each is rounded to whole episodes, and is one at least.
        progress: Is told what is passed over.

    Raises:
        ConfigError: A share is not in (0, 1], two give as many episodes, or settings say how many there are.
        UnknownNameError: There is no such task, split or model.
    """
    (name,), split = selection.tasks or ("",), selection.train_split
    if split is None:
        raise ConfigError("name the split to train on: a study of data takes parts of one")
    if any(setting_path(setting)[:2] == ("training", "first_episodes") for setting in selection.settings):
        raise ConfigError("training.first_episodes is what a study of data varies; leave it out")
    task = get_task(name)
    variant = make_variant(selection.preset, name, selection.settings)
    whole = RunData(task, variant, selection.workspace.data).recipe(split)
    training = variant.for_task(name).training
    chosen: list[FractionRun] = []
    for fraction, episodes in _episodes(fractions, whole.episodes).items():
        settings = selection.settings
        if episodes < whole.episodes:
            changes = _for_as_many_steps(training, whole.horizon * whole.episodes, whole.horizon * episodes)
            changes["training.first_episodes"] = episodes
            changed = {setting_path(setting)[1] for setting in changes}
            kept = {
                setting: value
                for setting, value in settings.items()
                if setting_path(setting)[0] != "training" or setting_path(setting)[1] not in changed
            }
            settings = {**kept, **changes}
        for run in select_runs(replace(selection, settings=settings), progress):
            transitions = run.train_recipe.episodes * run.train_recipe.horizon
            chosen.append(FractionRun(run, fraction, steps_of(run.config, transitions)))
    return chosen


def steps_of(config: RunConfig, transitions: int) -> int:
    """Steps of the optimiser in the training of a run on so many transitions."""
    epochs = range(1, config.training.epochs + 1)
    return sum(_steps(transitions, config.training.batch_size_in(epoch)) for epoch in epochs)


def _episodes(fractions: Sequence[float], whole: int) -> dict[float, int]:
    """How many episodes each share is, the smallest first.

    Raises:
        ConfigError: A share is not in (0, 1], or two give as many episodes.
    """
    if not fractions:
        raise ConfigError("name at least one fraction, such as 1")
    numbers: dict[float, int] = {}
    for fraction in sorted(fractions):
        if not 0 < fraction <= 1:
            raise ConfigError(f"fractions are more than 0 and at most 1, not {fraction:g}")
        episodes = max(1, round(fraction * whole))
        same = next((other for other, number in numbers.items() if number == episodes), None)
        if same is not None:
            raise ConfigError(
                f"fractions {same:g} and {fraction:g} are both {episodes} of {number_of(whole, 'episode')};"
                " leave one out"
            )
        numbers[fraction] = episodes
    return numbers


def _for_as_many_steps(training: TrainingConfig, whole: int, part: int) -> dict[str, Any]:
    """The settings with which a part of some transitions gets the steps that the whole gets.

    Args:
        training: How the whole is trained.
        whole: Transitions in the whole.
        part: Transitions in the part.

    Returns:
        The epochs, and what changes with them, by their dotted names.
    """
    tables: Mapping[str, Mapping[int, Any]] = {name: getattr(training, name) for name in _FROM_EPOCH}
    begins = sorted({1, *(epoch for table in tables.values() for epoch in table if epoch <= training.epochs)})
    moved: dict[int, int] = {}
    epochs = 0
    for begin, end in zip(begins, [*begins[1:], training.epochs + 1], strict=True):
        moved[begin] = epochs + 1
        batch = training.batch_size_in(begin)
        steps = (end - begin) * _steps(whole, batch)
        epochs += max(1, round(steps / max(1, _steps(part, batch))))
    settings: dict[str, Any] = {"training.epochs": epochs}
    for name, table in tables.items():
        later = {str(moved[epoch]): _plain(value) for epoch, value in table.items() if epoch in moved}
        if table:
            settings[f"training.{name}"] = later
    return settings


def _plain(value: Any) -> Any:  # noqa: ANN401 — a batch size, or a table of settings
    return value if isinstance(value, int) else value.model_dump(exclude_none=True)


def _steps(transitions: int, batch: int) -> int:
    """Steps in an epoch; a last batch of one transition is left out, as it has no negative."""
    full, rest = divmod(transitions, batch)
    return full + (rest > 1)
