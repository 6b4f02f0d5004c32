"""Figures show what is there: parts, alignments and colours are exact, equal figures are equal files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sen_bench.baselines.model import WorldModel
from sen_bench.baselines.objects import build_object_model
from sen_bench.config.presets import SplitSize
from sen_bench.data.frames import first_frames
from sen_bench.envs.blocks3d import Blocks3D
from sen_bench.errors import NonFiniteError, ResultsError
from sen_bench.figures.curve import draw_learning_curve, read_attempts
from sen_bench.figures.grids import cell_means, cell_vectors, draw_grid_latents, object_plane
from sen_bench.figures.irreps import (
    align_plane,
    components,
    correlation_ratio,
    irreps,
    point_group,
    principal_components,
)
from sen_bench.figures.latent_space import draw_latents
from sen_bench.figures.latents import latent_action, object_actions
from sen_bench.figures.planes import first_components
from sen_bench.figures.reconstructions import draw_reconstructions
from sen_bench.figures.rotations import best_alignment, geodesic_distance, rotation_angle
from sen_bench.figures.style import FORMATS, Format, cell_colours, save_figure, style
from sen_bench.generators import generate
from sen_bench.store import Dataset
from sen_bench.symmetry import SO3, Group, Representation
from sen_bench.tasks.registry import get_task

CPU = torch.device("cpu")
GROUPS = [*(Group.cyclic(n) for n in range(1, 7)), *(Group.dihedral(n) for n in range(1, 7))]


def _copies(representation: Representation, count: int) -> Representation:
    total = representation
    for _ in range(count - 1):
        total = total.direct_sum(representation)
    return total


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.name))
def test_irreps_are_all_the_irreducible_representations(group: Group) -> None:
    found = irreps(group)
    characters = np.stack([np.trace(irrep.matrices, axis1=1, axis2=2) for irrep in found])
    for irrep in found:
        Representation(group, irrep.name, matrices=irrep.matrices)  # checks that it is a homomorphism
    gram = characters @ characters.T / group.order
    # Over the reals, a plane of a cyclic group is two complex lines, hence the 2.
    norms = [2.0 if irrep.dim == 2 and group.name.startswith("C") else 1.0 for irrep in found]
    assert np.allclose(gram, np.diag(norms), atol=1e-12)
    # The regular representation holds every irreducible one as often as it has dimensions over its field.
    assert sum(irrep.dim**2 / norm for irrep, norm in zip(found, norms, strict=True)) == group.order
    assert len({irrep.name for irrep in found}) == len(found)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.name))
def test_the_group_acts_on_components_by_their_irrep_and_nothing_is_lost(group: Group) -> None:
    action = _copies(Representation.regular(group), 3)
    points = np.random.default_rng(0).normal(size=(50, action.dim))
    square = np.zeros(len(points))
    for irrep in irreps(group):
        shares = []
        for part in components(points, action, irrep):
            assert np.allclose(part.basis.T @ part.basis, np.eye(irrep.dim), atol=1e-12)
            for g in range(group.order):
                moved = action.apply(g, points) @ part.basis
                assert np.allclose(moved, points @ part.basis @ irrep.matrices[g].T, atol=1e-12)
            square += ((points @ part.basis) ** 2).sum(axis=1)
            shares.append((part.coordinates**2).sum())
        assert shares == sorted(shares, reverse=True)
    assert np.allclose(square, (points**2).sum(axis=1))


def test_frequency_one_of_a_regular_latent_is_that_of_the_fourier_transform() -> None:
    group = Group.cyclic(4)
    points = np.random.default_rng(1).normal(size=(20, 4))
    plane = next(irrep for irrep in irreps(group) if irrep.dim == 2)
    (part,) = components(points, Representation.regular(group), plane)
    fourier = np.fft.fft(points, axis=1)[:, 1] / math.sqrt(2)
    assert np.allclose(np.hypot(*part.coordinates.T), np.abs(fourier))
    turned = part.coordinates[:, 0] + 1j * part.coordinates[:, 1]
    # The same number up to one fixed phase and the sense of the transform.
    assert np.allclose(turned / turned[0], np.conj(fourier / fourier[0]))


def test_the_components_of_d4_regular_latents_by_hand() -> None:
    """Of one regular channel: four lines, whose characters are known, and two planes."""
    group = Group.dihedral(4)
    points = np.random.default_rng(2).normal(size=(30, 8))
    parts = first_components(points, Representation.regular(group))
    assert [part.irrep.name for part in parts] == ["E", "E", "A1", "A2", "B1", "B2"]
    signs = {"A1": [1] * 8, "A2": [1] * 4 + [-1] * 4, "B1": [1, -1] * 4, "B2": [1, -1] * 2 + [-1, 1] * 2}
    centre = points.mean(axis=0)
    for part in parts[2:]:
        shift = centre if part.irrep.name == "A1" else 0
        expected = (points - shift) @ np.array(signs[part.irrep.name]) / math.sqrt(8)
        assert np.allclose(np.abs(part.coordinates[:, 0]), np.abs(expected))


def test_point_groups_of_worlds() -> None:
    world = point_group(Blocks3D().symmetry.group)
    assert world is not None
    assert (world.group.name, world.elements.tolist()) == ("C4", [0, 120, 240, 360])
    same = point_group(Group.dihedral(4))
    assert same is not None
    assert same.elements.tolist() == list(range(8))
    assert point_group(Group.symmetric(3)) is None


def test_the_action_on_latents_is_read_off_the_model() -> None:
    symmetry = Blocks3D().symmetry
    model = build_object_model(
        "sen", symmetry=symmetry, observation_shape=(6, 6, 3), embedding_channels=2, hidden=4
    )
    points = point_group(symmetry.group)
    assert points is not None
    matrices = latent_action(model, points, CPU)
    latent = torch.randn(1, 5, 4, 2, dtype=torch.float64)
    for matrix, g in zip(matrices, points.elements, strict=True):
        moved = model.transform_latent(torch.tensor([g]), latent)
        assert np.allclose(matrix @ latent.flatten().numpy(), moved.flatten().numpy())
    for action in object_actions(matrices, 5, points):
        assert action.dim == 8
        # It rolls the fibre of four, whatever the channel.
        assert np.array_equal(np.abs(action.matrix).sum(axis=2), np.ones((4, 8)))


def test_turns_of_the_world_turn_the_vectors_of_cells() -> None:
    cells = np.stack(np.divmod(np.arange(25), 5), axis=-1)
    moved = np.stack([4 - cells[:, 1], cells[:, 0]], axis=-1)
    x, y = cell_vectors(cells, 5).T
    assert np.array_equal(cell_vectors(moved, 5), np.stack([-y, x], axis=-1))


def test_an_equivariant_map_of_cells_is_drawn_as_the_grid() -> None:
    """Two regular channels, one of which carries the cell's vector in its frequency 1; noise elsewhere."""
    rng = np.random.default_rng(3)
    cells = rng.integers(5, size=(200, 2))
    x, y = cell_vectors(cells, 5).T
    phase = 1.1
    vectors = (x + 1j * y) * np.exp(1j * phase)
    quarter = np.arange(4) * np.pi / 2
    wave = np.real(vectors[:, None] * np.exp(-1j * quarter))
    constant = rng.normal(size=(200, 1))
    latents = np.stack([wave + constant, np.tile(constant, 4)], axis=2)
    action = Representation.regular(Group.cyclic(4)).tensor_product(
        Representation.from_generators(Group.cyclic(4), "channel", {1: [0, 1]}, permutation=True)
    )
    drawn = object_plane(latents, cells, 5, action)
    assert np.allclose(drawn, math.sqrt(2) * cell_vectors(cells, 5))
    means = cell_means(drawn, cells, 5)
    assert np.allclose(means[0, 4], math.sqrt(2) * np.array([2, 2]))


def test_a_reflected_plane_is_put_right_without_a_group() -> None:
    cells = np.random.default_rng(4).integers(5, size=(300, 2))
    latents = cell_vectors(cells, 5) @ np.array([[0.0, 2.0], [2.0, 0.0]]) + 7
    drawn = object_plane(latents, cells, 5, None)
    expected = 2 * cell_vectors(cells, 5)
    assert np.allclose(drawn, expected - expected.mean(axis=0))


def test_a_plane_is_turned_but_not_reflected_under_a_group() -> None:
    targets = np.random.default_rng(5).normal(size=(20, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert np.allclose(align_plane(targets @ turn, targets, reflect=False), targets)
    reflected = align_plane(targets * [1, -1], targets, reflect=False)
    assert not np.allclose(reflected, targets, atol=0.1)
    assert np.allclose(align_plane(targets * [1, -1], targets, reflect=True), targets)


def test_principal_components_of_points_on_a_line_and_of_equal_points() -> None:
    line = np.array([[1.0, 2.0, 2.0]]) * np.array([[-3.0], [0.0], [3.0]])
    assert np.allclose(principal_components(line), [[-9, 0], [0, 0], [9, 0]])
    assert np.array_equal(principal_components(np.ones((4, 1))), np.zeros((4, 2)))


def test_correlation_ratio() -> None:
    angle = np.linspace(-np.pi, np.pi, 800)
    assert correlation_ratio(np.cos(angle), angle) > 0.95
    assert correlation_ratio(np.cos(7 * angle), np.random.default_rng(0).normal(size=800)) < 0.1
    assert correlation_ratio(np.ones(800), angle) == 0


def test_alignment_recovers_a_constant_rotation() -> None:
    rng = np.random.default_rng(6)
    true = np.stack([SO3().sample(rng) for _ in range(40)])
    constant = SO3().sample(rng)
    learned = true @ constant
    assert np.allclose(best_alignment(learned, true), constant)
    # With noise on every frame it stays a rotation near that.
    noise = np.stack([_turn(0.1 * rng.normal()) for _ in true])
    found = best_alignment(noise @ learned, true)
    assert np.allclose(found @ found.T, np.eye(3))
    assert np.linalg.det(found) == pytest.approx(1)
    assert geodesic_distance(found, constant) < 0.1


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, math.pi / 2, math.pi - 1e-7, math.pi])
def test_geodesic_distance_is_the_angle_between_rotations(angle: float) -> None:
    start = SO3().sample(np.random.default_rng(7))
    assert geodesic_distance(_turn(angle) @ start, start) == pytest.approx(angle, abs=1e-15, rel=1e-6)
    assert rotation_angle(_turn(angle)) == pytest.approx(angle, abs=1e-15)


def _turn(angle: float) -> NDArray[np.float64]:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def test_every_cell_has_a_colour_of_its_own() -> None:
    colours = cell_colours(5)
    assert colours.shape == (5, 5, 3)
    assert ((colours >= 0) & (colours <= 1)).all()
    flat = colours.reshape(-1, 3)
    distance = np.linalg.norm(flat[:, None] - flat, axis=-1)
    assert distance[~np.eye(25, dtype=bool)].min() > 0.05


def test_points_have_the_colour_of_their_true_cell() -> None:
    rng = np.random.default_rng(8)
    cells = rng.integers(5, size=(30, 2, 2))
    with style():
        figure = draw_grid_latents(
            rng.normal(size=(30, 2, 3)), cells, 5, [None, None], names=("a", "b"), title="test"
        )
    for o in range(2):
        points = next(c for c in figure.axes[o].collections if isinstance(c, PathCollection))
        expected = cell_colours(5)[cells[:, o, 0], cells[:, o, 1]]
        assert np.allclose(np.asarray(points.get_facecolor())[:, :3], expected)


def _line(event: str, attempt: int, epoch: int, step: int, **values: float) -> dict[str, Any]:
    return {"event": event, "attempt": attempt, "epoch": epoch, "step": step, **values}


def _steps(attempt: int, epoch: int, step: int, loss: float) -> dict[str, Any]:
    terms = {"loss": loss, "positive": loss / 4, "negative": 3 * loss / 4, "separation": 1 / loss}
    return _line("steps", attempt, epoch, step, **terms)


LOG = [
    _steps(0, 1, 10, 1.0),
    _line("collapsed", 0, 1, 12),
    _line("recovered", 0, 1, 17),
    _steps(0, 1, 20, 0.8),
    _line("epoch", 0, 1, 20),
    _line("collapsed", 0, 2, 25),
    _steps(1, 1, 10, 0.5),
    _line("epoch", 1, 1, 10),
]


def test_a_log_is_read_attempt_by_attempt_with_its_collapses() -> None:
    first, second = read_attempts(LOG)
    assert first.steps.tolist() == [10, 20]
    assert first.terms["loss"].tolist() == [1.0, 0.8]
    assert first.collapses == ((12, 17), (25, 25))
    assert first.epochs == (20,)
    # Steps of the second attempt count on from the last one of the first.
    assert second.steps.tolist() == [35]
    assert second.terms["separation"].tolist() == [2.0]
    assert (second.epochs, second.collapses) == ((35,), ())


@pytest.mark.parametrize("kind", FORMATS)
def test_equal_figures_are_equal_files(tmp_path: Path, kind: Format) -> None:
    names = ("first", "second")
    for name in names:
        with style():
            save_figure(draw_learning_curve(LOG, title="test", hinge=1.0), tmp_path / name, kind)
    first, second = ((tmp_path / name).read_bytes() for name in names)
    assert first == second
    if kind == "svg":
        assert b"<dc:date>" not in first
    else:
        with Image.open(tmp_path / "first") as image:
            assert image.info.keys() <= {"dpi"}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_drawing_leaves_the_style_of_others_alone() -> None:
    before = dict(mpl.rcParams)
    with style():
        draw_learning_curve(LOG, title="test", hinge=1.0)
    assert dict(mpl.rcParams) == before


def test_a_figure_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with style(), pytest.raises(ResultsError, match="cannot write") as caught:
        save_figure(draw_learning_curve(LOG, title="", hinge=1.0), tmp_path / "file" / "a.png", "png")
    assert "\n" not in str(caught.value)


def test_reconstructions_show_the_images_they_are_given() -> None:
    images = np.random.default_rng(9).random((2, 4, 5, 3))
    with style():
        figure = draw_reconstructions({"a": images, "b": 1 - images}, ["x", "y"], title="test")
    shown = [axes.images[0].get_array() for axes in figure.axes]
    for got, expected in zip(shown, [images[0], 1 - images[0], images[1], 1 - images[1]], strict=True):
        assert got is not None
        assert np.array_equal(got, expected)


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
        action = _copies(Representation.regular(Group.dihedral(4)), 4)
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
