"""The group of a world, and its action on latents, choose how latents are drawn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.objects import build_object_model
from sen_bench.config.presets import SplitSize
from sen_bench.data.frames import first_frames
from sen_bench.envs.blocks3d import Blocks3D
from sen_bench.errors import NonFiniteError
from sen_bench.figures.latent_space import draw_latents
from sen_bench.figures.style import save_figure, style
from sen_bench.generators import generate
from sen_bench.store import Dataset
from sen_bench.symmetry import SO3, Group, Representation
from sen_bench.tasks.registry import get_task
from tests.support.representations import copies

CPU = torch.device("cpu")


class Mixing(WorldModel):
    """A model whose latents are fixed mixtures of pixels, on which a group acts as it is told to."""

    def __init__(self, latent_shape: tuple[int, ...], pixels: int, action: Representation | None) -> None:
        super().__init__(embedding_shape=(pixels,), latent_shape=latent_shape, equivariant=action is not None)
        generator = torch.Generator().manual_seed(0)
        self.mixture = torch.randn(pixels, math.prod(latent_shape), generator=generator) / pixels
        self._action = action

    def embed(self, observation: Tensor) -> Tensor:
        return observation.flatten(1)

    def encode(self, embedding: Tensor) -> Tensor:
        return (embedding @ self.mixture).view(-1, *self.latent_shape)

    def transition(self, latent: Tensor, action: Tensor) -> Tensor:
        raise NotImplementedError

    def distance(self, latent: Tensor, other: Tensor) -> Tensor:
        raise NotImplementedError

    def transform_embedding(self, elements: Tensor, embedding: Tensor) -> Tensor:
        raise NotImplementedError

    def transform_latent(self, elements: Tensor, latent: Tensor) -> Tensor:
        assert self._action is not None
        matrices = torch.from_numpy(self._action.matrix.copy())[elements]
        return torch.einsum("bij,bj->bi", matrices, latent.flatten(1)).view(latent.shape)


class Rotations(Mixing):
    """One whose latents are rotations."""

    def encode(self, embedding: Tensor) -> Tensor:
        left, _, right = torch.linalg.svd(super().encode(embedding))
        product: Tensor = left @ right
        return product * torch.det(product)[:, None, None]


@pytest.fixture(scope="module", params=["3d-blocks", "reacher", "teapot-large"])
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    recipe = get_task(request.param).recipe("eval", SplitSize(episodes=12, horizon=1))
    return generate(recipe, tmp_path_factory.mktemp("figures") / f"{request.param}.zarr").dataset


@pytest.mark.parametrize("count", [3, 10**6])
def test_first_frames_are_what_a_model_is_shown_first(dataset: Dataset, count: int) -> None:
    expected = dataset.load("observation")[:count, : dataset.frame_stack]
    np.testing.assert_array_equal(first_frames(dataset, "observation", count), expected)


def _pixels(dataset: Dataset) -> int:
    return math.prod(dataset.array("observation").shape[2:]) * dataset.frame_stack


def test_the_group_and_its_action_choose_the_figure(dataset: Dataset, tmp_path: Path) -> None:
    pixels = _pixels(dataset)
    model: WorldModel
    if dataset.task == "3d-blocks":
        symmetry = dataset.symmetry
        assert not isinstance(symmetry.group, SO3)
        model = build_object_model(
            "sen", symmetry=Blocks3D().symmetry, observation_shape=(50, 50, 3), embedding_channels=2, hidden=4
        )
        titles = ["purple", "green", "orange", "blue", "brown", "true cell"]
    elif dataset.task == "reacher":
        action = copies(Representation.regular(Group.dihedral(4)), 4)
        model = Mixing((4, 8), pixels, action)
        titles = []
    else:
        model = Rotations((3, 3), pixels, None)
        titles = ["° off"]
    with style():
        figure = draw_latents(model.eval(), dataset, CPU, title="test", episodes=12)
        save_figure(figure, tmp_path / "latents.png", "png")
    texts = [axes.get_title() for axes in figure.axes]
    if dataset.task == "reacher":
        assert [text.partition(",")[0] for text in texts[:8]] == [
            *[r"$\mathrm{E}$"] * 4,
            *(rf"$\mathrm{{{name[0]}}}_{{{name[1]}}}$" for name in ("A1", "A2", "B1", "B2")),
        ]
    elif dataset.task == "3d-blocks":
        assert texts == titles
    else:
        assert sum(text.endswith("° off") for text in texts) == 6


def test_any_other_model_gets_its_principal_components(dataset: Dataset) -> None:
    model = Mixing((7,), _pixels(dataset), None)
    with style():
        figure = draw_latents(model, dataset, CPU, title="test", episodes=12)
    assert figure.get_supxlabel() == "first principal component (latent units)"


def test_latents_that_are_no_numbers_are_refused(dataset: Dataset) -> None:
    model = Mixing((7,), _pixels(dataset), None)
    model.mixture[0, 0] = math.nan
    with style(), pytest.raises(NonFiniteError, match="nothing to draw"):
        draw_latents(model, dataset, CPU, title="test", episodes=12)
