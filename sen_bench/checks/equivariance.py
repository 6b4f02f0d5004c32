"""Whether functions and world models are as equivariant as they claim, in float64."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sen_bench.baselines import CheckedModel, WorldModel
from sen_bench.checks.samples import Samples
from sen_bench.checks.tolerance import TOLERANCE
from sen_bench.errors import ConfigError
from sen_bench.evaluation import episode_norms, require_finite
from sen_bench.symmetry import SO3, Group, Representation, SO3Representation
from sen_bench.system import QUIET, Progress, number_of, plain_values, seeded

GroupAction = Callable[[Tensor, Tensor], Tensor]
"""How a group acts on a batch ``[B, …]``: called with one element per sample, int64 ``[B]`` or float64
``[B, 3, 3]``, and the batch."""

RANDOM_ROTATIONS = 20
"""How many elements of SO(3) are tried by default."""

_LARGE_GROUP = 48


def action_of(representation: Representation | SO3Representation, axis: int = -1) -> GroupAction:
    """The action of a group through one of its representations, on one axis of a batch.

    Args:
        representation: The representation.
        axis: The axis of the batch on which it acts; not the first.

    Returns:
        The action.

    Examples:
        >>> regular = action_of(Representation.regular(Group.cyclic(4)))
        >>> regular(torch.tensor([1]), torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
        tensor([[4., 1., 2., 3.]])
    """

    def act(elements: Tensor, x: Tensor) -> Tensor:
        index = elements.cpu().numpy()
        table = (
            representation.matrix[index]
            if isinstance(representation, Representation)
            else representation.matrix(index)
        )
        moved = x.movedim(axis, -1)
        flat = moved.reshape(len(x), -1, representation.dim)
        result = torch.einsum("bij,bnj->bni", torch.from_numpy(table).to(x), flat)
        return result.reshape(moved.shape).movedim(-1, axis)

    return act


def all_elements(group: Group | SO3, *, seed: int = 0) -> Tensor:
    """Every element of a finite group, int64 ``[n]``, or 20 random ones of SO(3), float64 ``[20, 3, 3]``."""
    if isinstance(group, Group):
        return torch.arange(group.order)
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([group.sample(rng) for _ in range(RANDOM_ROTATIONS)]))


def chosen_elements(group: Group | SO3, *, seed: int = 0) -> Tensor:
    """Elements to try if all are too many; up to 48, and for SO(3), those of `all_elements`.

    For a product such as C4 × S5, every element of the first factor with the identity, the generators and
    three random elements of the second; for another large group, the generators and 20 random elements.
    """
    if isinstance(group, SO3) or group.order <= _LARGE_GROUP:
        return all_elements(group, seed=seed)
    rng = np.random.default_rng(seed)
    factors = (group.construction or {}).get("factors")
    if factors is None:
        drawn = rng.integers(group.order, size=20).tolist()
        return torch.tensor(sorted({0, *group.generators, *drawn}))
    second = Group.from_json(factors[1])
    few = sorted({0, *second.generators, *rng.integers(second.order, size=3).tolist()})
    return torch.tensor([a * second.order + b for a in range(group.order // second.order) for b in few])


def element_names(group: Group | SO3, elements: Tensor) -> list[str]:
    """The usual names of elements: ``(r, (0 1))``; for a rotation its number among them and its angle."""
    if isinstance(group, Group):
        return [group.element_name(g) for g in elements.tolist()]
    cosines = (elements.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1) / 2
    angles = cosines.clamp(-1, 1).arccos() * 180 / math.pi
    return [f"rotation {number} ({angle:.0f}°)" for number, angle in enumerate(angles.tolist(), start=1)]


@plain_values
def assert_equivariant(
    function: Callable[..., Tensor],
    *inputs: Tensor,
    group: Group | SO3,
    transform_inputs: GroupAction | Sequence[GroupAction],
    transform_output: GroupAction,
    elements: Tensor | None = None,
    tolerance: float = 1e-9,
) -> float:
    """Asserts ``function(g·x, …) == g·function(x, …)`` for every element of a group.

    Floating-point inputs and the output must be float64: rounding in float32 hides small mistakes and looks
    like some. Call ``.double()`` on a module first, and ``.eval()`` if that is what you want to test.

    Args:
        function: Any function of batches, such as a module or the method of one.
        *inputs: Its arguments, ``[B, …]`` each; random ones reveal most.
        group: The group.
        transform_inputs: How the group acts on the inputs: one action for all, or one for each.
        transform_output: How it acts on the output. `WorldModel.transform_latent` and the like are actions.
        elements: The elements to try. Every element of a finite group by default, 20 random ones of SO(3).
        tolerance: Largest difference allowed, as a share of the largest entry of the output.

    Returns:
        The largest difference found, as such a share.

    Raises:
        ConfigError: An argument is not what it should be, such as an array instead of a tensor.
        AssertionError: It is larger; the message names the worst element.
        ValueError: A tensor is of another type, or there are not as many actions as inputs.
        NonFiniteError: The function gives NaN or infinite numbers.

    Examples:
        >>> group = Group.cyclic(4)
        >>> turn = action_of(Representation.regular(group))
        >>> x = torch.rand(2, 4, dtype=torch.float64)
        >>> def smooth(x): return x + x.roll(1, -1)
        >>> error = assert_equivariant(smooth, x, group=group, transform_inputs=turn, transform_output=turn)
        >>> error < 1e-15
        True
        >>> def first(x): return x[:, :1].expand(-1, 4)
        >>> x = torch.tensor([[1.0, 0.5, 0.0, 0.25]], dtype=torch.float64)
        >>> assert_equivariant(first, x, group=group, transform_inputs=turn, transform_output=turn)
        Traceback (most recent call last):
        AssertionError: not equivariant under 3 of 4 elements tried of C4; the worst is r^2, off by 1 of ...
    """
    actions = [transform_inputs] * len(inputs) if callable(transform_inputs) else list(transform_inputs)
    if len(actions) != len(inputs):
        raise ValueError(f"there are {len(inputs)} inputs, but {len(actions)} actions on them")
    tried = all_elements(group) if elements is None else elements
    with torch.no_grad():
        output = function(*(x.clone() for x in inputs))
        for name, tensor in (*((f"input {i}", x) for i, x in enumerate(inputs)), ("the output", output)):
            if tensor.is_floating_point() and tensor.dtype != torch.float64:
                raise ValueError(f"{name} is {tensor.dtype}; equivariance is checked in float64 (.double())")
        errors = [_error(function, inputs, output, actions, transform_output, element) for element in tried]
    # Everything fails if the tolerance is not a number.
    failures = sum(not error <= tolerance for error in errors)
    worst = max(range(len(errors)), key=errors.__getitem__)
    if failures:
        raise AssertionError(
            f"not equivariant under {failures} of {number_of(len(errors), 'element')} tried of"
            f" {group.name}; the worst is"
            f" {element_names(group, tried)[worst]}, off by {errors[worst]:.3g} of the output's largest entry"
            f" (tolerance {tolerance:g})"
        )
    return errors[worst]


def _error(
    function: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    output: Tensor,
    actions: Sequence[GroupAction],
    transform_output: GroupAction,
    element: Tensor,
) -> float:
    """The largest difference between f(g x) and g f(x), as a share of the largest entry of f(x).

    Infinite if g f(x) is not a number.

    Raises:
        NonFiniteError: An output holds a number that is NaN or infinite.
    """
    elements = element.expand(len(output), *element.shape)
    moved = function(*(act(elements, x.clone()) for act, x in zip(actions, inputs, strict=True)))
    require_finite(moved, "outputs of the function that is checked")
    difference = float((moved - transform_output(elements, output.clone())).abs().max())
    scale = float(output.abs().max())
    if math.isnan(difference):
        return math.inf
    return difference / scale if scale > 0 else difference


def _to(moved: Tensor) -> GroupAction:
    """The action that is known by its result only."""
    return lambda _elements, _x: moved


@dataclass(frozen=True)
class ElementErrors:
    """How far a model is from equivariant under one group element.

    E, T and S on images are off by the largest difference between any two entries that should be equal, as a
    share of the largest entry; S on states by EE(S), as in the result tables.

    Attributes:
        element: What the element is called.
        embedding: EE(S) = E‖ρ(g) S(s) − S(g s)‖ / E‖S(s)‖, with g s rendered by the world; not divided if the
            model says so (`WorldModel.ee_normalised`). NaN if it is not known how the group acts on
            embeddings.
        encoder: For E, ρ_Z(g) E(v) against E(ρ_V(g) v); None if the group does not act on latents.
        transition: For T, ρ_Z(g) T(z, a) against T(ρ_Z(g) z, g a); None in the same case.
        image: For S on images transformed as a fully equivariant model takes the group to act on them; None
            for other models, and for elements whose effect on pixels is not known.
    """

    element: str
    embedding: float
    encoder: float | None
    transition: float | None
    image: float | None


def equivariance_errors(
    model: WorldModel,
    samples: Samples,
    *,
    elements: Tensor | None = None,
    progress: Progress = QUIET,
    title: str = "check",
) -> list[ElementErrors]:
    """How far S, E and T of a world model are from equivariant, element by element.

    They are measured on a float64 copy of the model, on the CPU and in evaluation mode; the model is left as
    it is. E and T are given what S and E give for the samples, so they are measured on realistic inputs.

    Args:
        model: The model, trained or not.
        samples: States and actions of its world.
        elements: Group elements, int64 ``[G]`` or float64 ``[G, 3, 3]``; by default `chosen_elements`.
        progress: Is told how many elements are done.
        title: What the work is called where progress is shown.

    Returns:
        One entry for each element.

    Raises:
        ConfigError: No element is given.
        ExtensionError: The model gives tensors of other shapes or types than it should.
        NonFiniteError: The model gives NaN or infinite numbers.
    """
    symmetry = samples.world.symmetry
    tried = chosen_elements(symmetry.group) if elements is None else elements
    if len(tried) == 0:
        raise ConfigError("no group element to check the model under")
    exact = copy.deepcopy(model).cpu().double().eval()
    checked = CheckedModel(exact)
    on_images = {0, *symmetry.twin_elements} if isinstance(symmetry.group, Group) else None
    result = []
    with torch.no_grad(), seeded(0, torch.device("cpu")), progress.work(title, "elements") as advance:
        observation, action = samples.observation(torch.float64), samples.action()
        # Copies, because a model may change what it is given in place.
        embedding = checked.embed(observation.clone())
        latent = checked.encode(embedding.clone())
        following = checked.transition(latent.clone(), action)
        checked.distance(latent.clone(), following.clone())
        for name, values in (("embeddings", embedding), ("latents", latent), ("predictions", following)):
            require_finite(values, name)
        for name, element in zip(element_names(symmetry.group, tried), tried, strict=True):
            moved = samples.transformed(element.numpy())
            each = element.expand(len(samples), *element.shape)
            twin = checked.embed(moved.observation(torch.float64))
            gaps = episode_norms(checked.transform_embedding(each, embedding.clone()) - twin)
            encoder = transition = image = None
            on_embeddings, on_latents = checked.transform_embedding, checked.transform_latent
            if exact.equivariant:
                encoder = _error(checked.encode, [embedding], latent, [on_embeddings], on_latents, element)
                inputs, on_inputs = [latent, action], [on_latents, _to(moved.action())]
                transition = _error(checked.transition, inputs, following, on_inputs, on_latents, element)
            if exact.image_equivariance is not None and (on_images is None or int(element) in on_images):
                on_observations = checked.transform_observation
                image = _error(
                    checked.embed, [observation], embedding, [on_observations], on_embeddings, element
                )
            scale = episode_norms(embedding).mean() if exact.ee_normalised else 1.0
            result.append(ElementErrors(name, float(gaps.mean() / scale), encoder, transition, image))
            advance(len(result), len(tried))
    return result


def broken_claims(
    model: WorldModel, errors: Sequence[ElementErrors], *, tolerance: float = TOLERANCE
) -> list[str]:
    """What a model claims about its equivariance that the errors contradict: a line for each part, or none.

    Args:
        model: The model.
        errors: Those of `equivariance_errors`.
        tolerance: Largest error that does not contradict a claim.
    """
    lines = []
    parts = [("encoder", "E"), ("transition", "T")]
    if model.image_equivariance == "exact":
        parts.append(("image", "S on images"))
    for part, name in parts:
        measured = [(getattr(entry, part), entry.element) for entry in errors]
        worst, element = max(
            ((e, g) for e, g in measured if e is not None), default=(0.0, ""), key=lambda pair: pair[0]
        )
        if not worst <= tolerance:  # even if the tolerance is not a number
            lines.append(
                f"{name} of {type(model).__name__} is not equivariant, as it claims: off by {worst:.3g} at"
                f" {element} (tolerance {tolerance:g})"
            )
    return lines
