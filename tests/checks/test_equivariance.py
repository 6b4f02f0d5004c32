"""The checks of equivariance: they pass what is equivariant, and find and name what is not."""

from __future__ import annotations

import copy
import doctest
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sen_bench.baselines.layers import C4Linear
from sen_bench.checks import equivariance as testing
from sen_bench.checks.equivariance import (
    ElementErrors,
    action_of,
    all_elements,
    assert_equivariant,
    broken_claims,
    chosen_elements,
    element_names,
    equivariance_errors,
)
from sen_bench.checks.samples import Samples
from sen_bench.data.transitions import Transitions
from sen_bench.envs import make_world
from sen_bench.envs.grid import grid_symmetry
from sen_bench.errors import ConfigError, NonFiniteError
from sen_bench.evaluation.metrics import equivariance_error
from sen_bench.generators import Recipe, generate
from sen_bench.symmetry import SO3, Group, Representation, SO3Representation
from sen_bench.tasks.registry import get_task
from tests.support.fake_worlds import DRIFT
from tests.support.own_models import Mean, ShiftedEncoder, ShiftedTransition, Unknown
from tests.support.registry import MODELS, narrow_model

C4 = Group.cyclic(4)
TURN = action_of(Representation.regular(C4))
ROTATE = action_of(SO3Representation(SO3(), "rotation", 1))


def _random(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _drift(model: type[Mean], **options: Any) -> tuple[Mean, Samples]:
    world = make_world(DRIFT)
    symmetry: Any = world.symmetry
    return model(symmetry=symmetry, observation_shape=(6, 7, 1), **options), Samples.draw(world, 5)


def test_the_examples_in_the_documentation_hold() -> None:
    result = doctest.testmod(testing, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 5
    assert result.failed == 0


class TestActionOf:
    @pytest.mark.parametrize("axis", [1, 2, -1])
    @pytest.mark.parametrize(
        "representation", [Representation.regular(Group.dihedral(4)), Representation.standard(C4)], ids=str
    )
    def test_it_is_the_representation_applied_sample_by_sample(
        self, representation: Representation, axis: int
    ) -> None:
        shape = [9, 3, 3]
        shape[axis] = representation.dim
        x, elements = _random(*shape), torch.arange(9) % representation.group.order
        moved = action_of(representation, axis)(elements, x)
        for got, g, sample in zip(moved, elements.tolist(), x, strict=True):
            along = axis - 1 if axis > 0 else axis
            np.testing.assert_allclose(got, representation.apply(g, sample.numpy(), along), atol=1e-15)

    def test_it_is_the_rotation_of_vectors(self) -> None:
        elements, x = all_elements(SO3()), _random(20, 3)
        torch.testing.assert_close(ROTATE(elements, x), (elements @ x[..., None])[..., 0])


class TestElements:
    def test_all_are_all(self) -> None:
        assert all_elements(Group.dihedral(4)).tolist() == list(range(8))
        rotations = all_elements(SO3(), seed=3)
        assert rotations.shape == (20, 3, 3)
        assert torch.equal(rotations, all_elements(SO3(), seed=3))
        assert not torch.equal(rotations, all_elements(SO3(), seed=4))

    def test_of_a_large_product_every_turn_is_chosen_with_the_generators_of_the_rest(self) -> None:
        group = grid_symmetry(5, 5).group
        chosen = chosen_elements(group).tolist()
        assert len(set(chosen)) == len(chosen) < 48
        for turns in range(4):
            of_turn = {g % 120 for g in chosen if g // 120 == turns}
            assert {0, *Group.symmetric(5).generators} < of_turn

    def test_of_a_large_group_that_is_no_product_the_generators_are_chosen(self) -> None:
        group = Group.symmetric(5)
        assert {0, *group.generators} <= set(chosen_elements(group).tolist())
        assert chosen_elements(C4).tolist() == [0, 1, 2, 3]

    def test_names_are_those_of_the_group_or_angles(self) -> None:
        assert element_names(C4, torch.tensor([0, 3])) == ["1", "r^3"]
        quarter = torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]], dtype=torch.float64)
        assert element_names(SO3(), quarter) == ["rotation 1 (90°)"]


class TestAssertEquivariant:
    def test_a_layer_is_and_says_by_how_little_it_is_not(self) -> None:
        layer = C4Linear(3, 2).double()
        act = action_of(Representation.regular(C4).pullback(C4, C4.inverse), axis=-2)
        error = assert_equivariant(
            layer, _random(5, 4, 3), group=C4, transform_inputs=act, transform_output=act
        )
        assert 0 <= error < 1e-14

    def test_the_smallest_mistake_is_found_and_the_worst_element_named(self) -> None:
        def function(x: Tensor) -> Tensor:
            result = x.clone()
            result[:, 0] += 1e-6
            return result

        x = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
        with pytest.raises(
            AssertionError, match=r"under 3 of 4 elements tried of C4; the worst is r"
        ) as caught:
            assert_equivariant(function, x, group=C4, transform_inputs=TURN, transform_output=TURN)
        assert "off by 2.5e-07 of the output's largest entry (tolerance 1e-09)" in str(caught.value)
        with pytest.raises(AssertionError, match="tolerance nan"):
            assert_equivariant(
                function, x, group=C4, transform_inputs=TURN, transform_output=TURN, tolerance=math.nan
            )
        error = assert_equivariant(
            function, x, group=C4, transform_inputs=TURN, transform_output=TURN, tolerance=1e-6
        )
        assert error == pytest.approx(2.5e-7)

    def test_only_the_elements_given_are_tried(self) -> None:
        def even(x: Tensor) -> Tensor:
            return torch.stack([x[:, 0], -x[:, 1], x[:, 2], -x[:, 3]], dim=1)

        tried = {"group": C4, "transform_inputs": TURN, "transform_output": TURN}
        assert_equivariant(even, _random(3, 4), elements=torch.tensor([0, 2]), **tried)  # type: ignore[arg-type]
        with pytest.raises(AssertionError, match="2 of 4"):
            assert_equivariant(even, _random(3, 4), **tried)  # type: ignore[arg-type]

    def test_functions_of_several_inputs_have_an_action_on_each(self) -> None:
        def cross(x: Tensor, y: Tensor, scale: Tensor) -> Tensor:
            product: Tensor = torch.linalg.cross(x, y)
            return product * scale

        def stays(_elements: Tensor, x: Tensor) -> Tensor:
            return x

        inputs = (_random(4, 3), _random(4, 3).flip(0), _random(4, 1))
        actions = [ROTATE, ROTATE, stays]
        assert_equivariant(
            cross, *inputs, group=SO3(), transform_inputs=actions, transform_output=ROTATE, tolerance=1e-12
        )
        with pytest.raises(AssertionError, match=r"20 of 20 elements tried of SO\(3\)"):
            assert_equivariant(
                cross, *inputs, group=SO3(), transform_inputs=[stays, *actions[1:]], transform_output=ROTATE
            )
        with pytest.raises(ValueError, match="there are 3 inputs, but 2 actions on them"):
            assert_equivariant(
                cross, *inputs, group=SO3(), transform_inputs=actions[:2], transform_output=ROTATE
            )

    def test_float32_is_refused(self) -> None:
        same = {"group": C4, "transform_inputs": TURN, "transform_output": TURN}
        with pytest.raises(ValueError, match=r"input 0 is torch\.float32"):
            assert_equivariant(torch.relu, torch.ones(2, 4), **same)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"the output is torch\.float32"):
            assert_equivariant(lambda x: x.float(), _random(2, 4), **same)  # type: ignore[arg-type]

    def test_nan_is_no_equivariance(self) -> None:
        with pytest.raises(NonFiniteError, match="function that is checked"):
            assert_equivariant(
                lambda x: x / 0, _random(2, 4) - 2, group=C4, transform_inputs=TURN, transform_output=TURN
            )
        with pytest.raises(AssertionError, match="off by inf"):
            assert_equivariant(
                torch.relu,
                _random(2, 4),
                group=C4,
                transform_inputs=TURN,
                transform_output=lambda _g, x: x * torch.nan,
            )


class TestSamples:
    @pytest.mark.parametrize("task", ["2d-shapes", "reacher"])
    def test_they_are_shown_as_a_dataset_shows_them(self, task: str, tmp_path: Path) -> None:
        world = get_task(task).world()
        recipe = Recipe(
            task="samples",
            split="samples",
            world_id=world.world_id,
            episodes=3,
            horizon=1,
            warmup=5,
            seed=2,
        )
        dataset = generate(recipe, tmp_path / "samples.zarr").dataset
        batch = Transitions.from_dataset(dataset, torch.device("cpu")).batch(torch.arange(3))
        samples = Samples.draw(world, 3, warmup=5, seed=2)
        torch.testing.assert_close(samples.observation(), batch.observation, rtol=0, atol=1e-7)
        assert torch.equal(samples.action(), batch.action)


class TestWorldModels:
    @pytest.mark.parametrize(("task_name", "model_name"), MODELS)
    def test_every_model_keeps_what_it_claims_under_the_elements_chosen(
        self, task_name: str, model_name: str
    ) -> None:
        task = get_task(task_name)
        model, world = narrow_model(task_name, model_name), task.world()
        errors = equivariance_errors(model, Samples.draw(world, 2, warmup=task.split("eval").warmup))
        assert len(errors) == len(chosen_elements(world.symmetry.group))
        assert broken_claims(model, errors, tolerance=1e-9) == []
        for entry in errors:
            assert (entry.encoder is None) == (entry.transition is None) == (not model.equivariant)
        assert (max(entry.embedding for entry in errors) > 1e-6) or math.isnan(errors[0].embedding)
        on_images = [entry for entry in errors if entry.image is not None]
        assert bool(on_images) == (model.image_equivariance is not None)

    @pytest.mark.parametrize(
        ("model", "part", "message"),
        [
            (ShiftedEncoder, "encoder", "E of ShiftedEncoder is not equivariant, as it claims: off by"),
            (ShiftedTransition, "transition", "T of ShiftedTransition is not equivariant"),
        ],
    )
    def test_a_claim_that_is_broken_is_found_in_its_part(
        self, model: type[Mean], part: str, message: str
    ) -> None:
        broken, samples = _drift(model)
        identity, flip = equivariance_errors(broken, samples)
        assert identity.encoder == identity.transition == 0
        parts = {name: getattr(flip, name) for name in ("encoder", "transition")}
        assert parts.pop(part) > 0.01
        assert all(error < 1e-12 for error in parts.values())
        (line,) = broken_claims(broken, [identity, flip])
        assert message in line
        assert line.endswith("at r (tolerance 1e-06)")
        assert broken_claims(broken, [identity, flip], tolerance=10) == []
        assert broken_claims(broken, [identity, flip], tolerance=math.nan)

    def test_the_error_of_s_is_that_of_states_rendered_anew(self) -> None:
        model, samples = _drift(Mean)
        flip = equivariance_errors(model, samples)[1]
        moved = samples.transformed(np.array(1))
        np.testing.assert_array_equal(moved.states, -samples.states)
        embedding = model.embed(samples.observation())
        expected = equivariance_error(embedding, -embedding, model.embed(moved.observation()))
        assert flip.embedding == pytest.approx(expected, rel=1e-5)
        model.ee_normalised = False  # type: ignore[misc]
        scale = embedding.abs().mean().item()
        assert equivariance_errors(model, samples)[1].embedding == pytest.approx(expected * scale, rel=1e-5)

    def test_a_model_that_knows_no_action_has_no_errors(self) -> None:
        model, samples = _drift(Unknown)
        for entry in equivariance_errors(model, samples):
            assert math.isnan(entry.embedding)
            assert (entry.encoder, entry.transition, entry.image) == (None, None, None)

    def test_images_are_checked_under_the_elements_that_act_on_them(self) -> None:
        task = get_task("3d-blocks")
        model = narrow_model("3d-blocks", "full")
        errors = equivariance_errors(
            model, Samples.draw(task.world(), 2), elements=torch.tensor([0, 1, 120, 121, 360])
        )
        assert [entry.image is None for entry in errors] == [False, True, False, True, False]
        convolution: Any = model.get_submodule("embedding.layers.0")
        convolution.forward = lambda x: torch.nn.functional.pad(x, (1, 0))[..., :-1].repeat(1, 6, 1, 1)[
            :, :16
        ]
        wrong = equivariance_errors(model, Samples.draw(task.world(), 2), elements=torch.tensor([120]))
        assert "S on images of FullObjectModel is not equivariant" in broken_claims(model, wrong)[0]

    def test_the_model_is_left_as_it_is(self) -> None:
        model, samples = _drift(Mean)
        model.train()
        state = copy.deepcopy(model.state_dict())
        equivariance_errors(model, samples)
        assert model.training
        for name, value in model.state_dict().items():
            assert torch.equal(value, state[name])
            assert value.dtype == torch.float32

    def test_nan_and_no_elements_are_refused(self) -> None:
        model, samples = _drift(Mean, gain=math.nan)
        with pytest.raises(NonFiniteError, match="latents"):
            equivariance_errors(model, samples)
        with pytest.raises(ConfigError, match="no group element"):
            equivariance_errors(model, samples, elements=torch.arange(0))

    def test_claims_of_an_approximate_symmetry_of_images_are_measured_only(self) -> None:
        model, _ = _drift(Mean)
        wrong = [ElementErrors("r", 0.1, 0.0, 0.0, 0.5)]
        assert broken_claims(model, wrong) == []
