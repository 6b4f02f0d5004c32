"""What every registered model keeps; a new one is tested by being registered.

At the widths of the preset smoke. What is special to a family stands in tests/baselines.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from sen_bench.baselines import WorldModel
from sen_bench.baselines.model import parameter_count
from sen_bench.checks.equivariance import all_elements
from sen_bench.checks.samples import Samples
from sen_bench.errors import ConfigError, UnknownNameError
from sen_bench.tasks import get_task
from tests.oracles.dense_layers import contrastive_loss
from tests.support.registry import MODELS, narrow_model, narrow_options

STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}
COUNT = 4


class Shown(NamedTuple):
    """A batch as a task gives it."""

    observation: Tensor
    action: Tensor
    following: Tensor


@cache
def shown(task: str) -> Shown:
    """Pixels of noise, which move every weight, and actions of the world."""
    samples = Samples.draw(get_task(task).world(), COUNT)
    shape = samples.observation().shape
    before, after = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    return Shown(before, samples.action(), after)


@cache
def _exact(task: str, name: str) -> WorldModel:
    return narrow_model(task, name).double().eval()


@cache
def _narrow(task: str, name: str) -> WorldModel:
    return narrow_model(task, name).eval()


@pytest.fixture
def exact(task: str, name: str) -> WorldModel:
    """A model in float64 and evaluation mode; shared, and so not to be changed."""
    return _exact(task, name)


@pytest.fixture
def narrow(task: str, name: str) -> WorldModel:
    """The same in float32; shared, and so not to be changed."""
    return _narrow(task, name)


@pytest.fixture
def model(task: str, name: str) -> WorldModel:
    """A model of one's own, in training mode."""
    return narrow_model(task, name)


@pytest.mark.parametrize(("task", "name"), MODELS)
class TestEveryModel:
    def test_shapes_are_those_announced(self, task: str, narrow: WorldModel) -> None:
        observation, action, _ = shown(task)
        embedding = narrow.embed(observation)
        latent = narrow.encode(embedding)
        following = narrow.transition(latent, action)
        assert embedding.shape == (COUNT, *narrow.embedding_shape)
        assert latent.shape == following.shape == (COUNT, *narrow.latent_shape)
        assert {x.dtype for x in (embedding, latent, following)} == {torch.float32}
        assert torch.equal(narrow(observation, action), following)

    def test_distance_is_a_number_a_sample_and_0_between_equals(self, task: str, narrow: WorldModel) -> None:
        latent = narrow.encode(narrow.embed(shown(task).observation))
        other = latent.roll(1, dims=0)
        distance = narrow.distance(latent, other)
        assert distance.shape == (COUNT,)
        assert (distance > 0).all()
        torch.testing.assert_close(distance, narrow.distance(other, latent), rtol=1e-5, atol=0)
        assert narrow.distance(latent, latent).tolist() == COUNT * [0]

    def test_in_evaluation_no_sample_depends_on_others(self, task: str, exact: WorldModel) -> None:
        observation, action, _ = shown(task)
        together = exact(observation.double(), action)
        alone = [exact(o[None].double(), a[None]) for o, a in zip(observation, action, strict=True)]
        torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-12)

    def test_the_memory_format_of_images_does_not_matter(self, task: str, exact: WorldModel) -> None:
        images = shown(task).observation.double()
        strided = images.to(memory_format=torch.channels_last)
        torch.testing.assert_close(exact.embed(strided), exact.embed(images), rtol=0, atol=1e-12)

    def test_a_checkpoint_of_either_mode_loads_in_either_mode(
        self, task: str, name: str, model: WorldModel
    ) -> None:
        observation, action, _ = shown(task)
        model(observation, action)  # moves the statistics
        expected = model.eval()(observation, action)
        fresh = narrow_model(task, name, seed=1)
        for saved_training in (True, False):
            state = copy.deepcopy(model.train(saved_training).state_dict())
            for loaded_training in (True, False):
                with torch.no_grad():
                    for parameter in fresh.parameters():
                        parameter.add_(1)
                fresh.train(loaded_training).load_state_dict(state)
                assert torch.equal(fresh.eval()(observation, action), expected)

    def test_checkpoints_hold_weights_and_batch_statistics_only(self, name: str, narrow: WorldModel) -> None:
        extra = set(narrow.state_dict()) - {key for key, _ in narrow.named_parameters()}
        others = {key for key in extra if key.rsplit(".", 1)[-1] not in STATISTICS}
        # e3nn keeps constants of its tensor products among a model's buffers.
        assert not others or name == "tfn"

    def test_a_copy_is_the_same_model(self, task: str, model: WorldModel) -> None:
        observation, action, _ = shown(task)
        model(observation, action)
        for mode in (True, False):
            model.train(mode)
            copied = copy.deepcopy(model)
            assert torch.equal(copied(observation, action), model(observation, action))

    def test_a_step_down_the_gradient_lowers_the_loss_on_its_batch(
        self, task: str, model: WorldModel
    ) -> None:
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
        before = contrastive_loss(model, *shown(task))
        torch.autograd.backward([before])
        optimizer.step()
        with torch.no_grad():
            after = contrastive_loss(model, *shown(task))
        assert after < before

    def test_under_autocast_results_are_float32_and_near(self, task: str, narrow: WorldModel) -> None:
        observation, action, _ = shown(task)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            embedding = narrow.embed(observation)
            latent = narrow.encode(embedding)
            following = narrow.transition(latent, action)
            distance = narrow.distance(latent, following)
        assert {x.dtype for x in (embedding, latent, following, distance)} == {torch.float32}
        exact = narrow.embed(observation)
        # Rotations are made of vectors that may be short, and then turn far with little.
        tolerance = 0.05 if narrow.ee_normalised else 0.2
        torch.testing.assert_close(embedding, exact, rtol=0, atol=tolerance * exact.abs().max().item())
        torch.testing.assert_close(
            latent, narrow.encode(exact), rtol=0, atol=0.1 if narrow.ee_normalised else 0.2
        )

    def test_it_is_equivariant_as_it_claims_under_every_element(self, task: str, exact: WorldModel) -> None:
        if not exact.equivariant:
            pytest.skip("this model claims nothing")
        world = get_task(task).world()
        elements = all_elements(world.symmetry.group)
        samples = Samples.draw(world, 1, warmup=get_task(task).split("eval").warmup)

        def each(x: Tensor) -> Tensor:
            return x.expand(len(elements), *x.shape[1:])

        embedding = each(exact.embed(samples.observation(torch.float64)))
        latent = exact.encode(embedding)
        moved = exact.transform_latent(elements, latent)
        encoded = exact.encode(exact.transform_embedding(elements, embedding))
        torch.testing.assert_close(encoded, moved, rtol=0, atol=1e-12)
        following = exact.transition(latent, each(samples.action()))
        actions = torch.from_numpy(world.transform_action(elements.numpy(), samples.actions))
        expected = exact.transform_latent(elements, following)
        torch.testing.assert_close(exact.transition(moved, actions), expected, rtol=0, atol=1e-12)
        # Not because latents are constant, or stay as they are.
        assert (moved - latent).flatten(1).norm(dim=1).max() > 1e-4
        assert (following - latent).flatten(1).norm(dim=1).min() > 1e-4

    def test_every_width_widens_its_part_only(self, task: str, name: str, narrow: WorldModel) -> None:
        options, parts = narrow_options(task, name), [part for part, _ in narrow.named_children()]
        assert options
        for option, width in options.items():
            assert isinstance(width, int)
            wider = get_task(task).build_model(name, {**options, option: 2 * width})
            growth = {
                part: parameter_count(wider.get_submodule(part)) - parameter_count(narrow.get_submodule(part))
                for part in parts
            }
            grown = {part for part, by in growth.items() if by}
            assert grown
            assert all(growth[part] > 0 for part in grown)
            assert ("embedding" in grown) == (option == "embedding_channels")

    def test_mistakes_are_refused_by_one_line(self, task: str, name: str) -> None:
        with pytest.raises(UnknownNameError, match=f"did you mean '{name}'"):
            get_task(task).build_model(name + name[-1], {})
        with pytest.raises(ConfigError, match="'widht'"):
            get_task(task).build_model(name, {"widht": 3})
        for option in narrow_options(task, name):
            for width in (0, -3):
                with pytest.raises(ConfigError, match=f"{option} must be at least 1, not {width}") as caught:
                    get_task(task).build_model(name, {option: width})
                assert "\n" not in str(caught.value)

    def test_convolutions_start_xavier_uniform_with_biases_0(self, narrow: WorldModel) -> None:
        for layer in narrow.modules():
            # Of few weights, none may come near the bound.
            if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 500:
                assert layer.bias is not None
                assert not layer.bias.any()
                area = layer.weight[0, 0].numel()
                bound = (6 / (area * (layer.in_channels + layer.out_channels))) ** 0.5
                assert 0.95 * bound < layer.weight.abs().max() <= bound
