"""What must hold of a world's functions of states: pure, batched, and equivariant under its group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sen_bench.checks.world_samples import FaultError, NotApplicableError, WorldSamples
from sen_bench.envs import World
from sen_bench.errors import WorldError
from sen_bench.symmetry import Group, Representation
from sen_bench.system import number_of

Array = NDArray[Any]


def _functions(samples: WorldSamples) -> dict[str, tuple[Callable[..., Array], tuple[Array, ...]]]:
    """The pure functions of a world with arguments for them, N of each."""
    world, elements = samples.world, samples.elements[np.arange(len(samples.states)) % len(samples.elements)]
    return {
        "step_states": (world.step_states, (samples.states, samples.actions)),
        "render_states": (world.render_states, (samples.states,)),
        "transform_state": (world.transform_state, (elements, samples.states)),
        "transform_action": (world.transform_action, (elements, samples.actions)),
    }


def check_purity(samples: WorldSamples, name: str) -> str:
    """Functions leave their arguments and the world alone, and give equal results for equal arguments."""
    function, arguments = _functions(samples)[name]
    given = [argument.copy() for argument in arguments]
    first = function(*given)
    for before, after in zip(arguments, given, strict=True):
        changed = (before != after).reshape(len(before), -1).any(axis=1)
        if changed.any():
            raise FaultError(f"{name} writes into its arguments: {samples.state(int(changed.argmax()))}")
    kept = first.copy()
    if not np.array_equal(function(*(argument.copy() for argument in arguments)), kept):
        raise FaultError(f"{name} gives another result when it is called again with equal arguments")
    if first.flags.writeable:
        first[...] = 0
    if not np.array_equal(function(*(argument.copy() for argument in arguments)), kept):
        raise FaultError(
            f"{name} returns memory of the world's own: writing there changes what it gives next"
        )
    return "arguments unchanged, equal calls give equal results"


def check_batches(samples: WorldSamples, name: str) -> str:
    """A batch gives what single calls give; so do further leading axes; an empty batch gives nothing."""
    function, arguments = _functions(samples)[name]
    count = len(samples.states)
    single = np.stack([function(*(argument[i].copy() for argument in arguments)) for i in range(count)])
    folded = (2, count // 2) if count % 2 == 0 else (1, count)
    for lead in ((count,), folded):
        batch = function(*(a.reshape(*lead, *a.shape[1:]).copy() for a in arguments))
        if batch.shape != (*lead, *single.shape[1:]):
            raise FaultError(
                f"{name} gives the shape {list(batch.shape)} for a batch of leading axes {list(lead)};"
                f" a single call gives {list(single.shape[1:])}"
            )
        differs = (batch.reshape(single.shape) != single).reshape(count, -1).any(axis=1)
        if differs.any():
            number = int(differs.argmax())
            raise FaultError(
                f"{name} gives another result in a batch of {list(lead)} than alone, first for"
                f" {samples.state(number)}"
            )
    empty = function(*(np.empty((2, 0, *a.shape[1:]), a.dtype) for a in arguments))
    if empty.shape != (2, 0, *single.shape[1:]):
        raise FaultError(f"{name} gives the shape {list(empty.shape)} for an empty batch [2, 0]")
    if len(arguments) == 2:
        few, others = arguments[0][:3, None], arguments[1][None]
        pairs = function(few.copy(), others.copy())
        if pairs.shape != (len(few), count, *single.shape[1:]):
            raise FaultError(f"{name} does not broadcast the leading axes of its arguments")
        if not np.array_equal(pairs[np.arange(len(few)), np.arange(len(few))], single[: len(few)]):
            raise FaultError(f"{name} gives another result when leading axes broadcast")
    return "batches, further leading axes and empty batches give what single calls give"


def check_identity(samples: WorldSamples) -> str:
    """The identity leaves states and actions as they are."""
    group = samples.world.symmetry.group
    identity = 0 if isinstance(group, Group) else group.identity
    states = samples.world.transform_state(identity, samples.states.copy())
    actions = samples.world.transform_action(identity, samples.actions.copy())
    _none(
        [samples.state_gap(states, samples.states)[None]],
        lambda _, n: f"the identity moves {samples.state(n)}",
    )
    _none(
        [samples.action_gap(actions, samples.actions)[None]],
        lambda _, n: f"the identity changes {samples.action(n)}",
    )
    return "the identity changes no state and no action"


def check_composition(samples: WorldSamples) -> str:
    """Two elements, one after the other, act as their product.

    Of a finite group, every element after every generator, from which all products follow.
    """
    world, group = samples.world, samples.world.symmetry.group
    if isinstance(group, Group):
        pairs = [(s, g) for s in group.generators for g in range(group.order)]
        products: Any = [group.cayley[s, g] for s, g in pairs]
    else:
        count = len(samples.elements)
        pairs = [(i, (i + 1) % count) for i in range(count)]
        products = [group.product(samples.elements[i], samples.elements[j]) for i, j in pairs]
    for title, transform, values, gap in (
        ("states", world.transform_state, samples.states, samples.state_gap),
        ("actions", world.transform_action, samples.actions, samples.action_gap),
    ):
        gaps = [
            gap(
                transform(samples.elements[i], transform(samples.elements[j], values.copy())),
                transform(product, values.copy()),
            )
            for (i, j), product in zip(pairs, products, strict=True)
        ]

        def says(pair: int, number: int, title: str = title) -> str:
            i, j = pairs[pair]
            what = samples.state(number) if title == "states" else samples.action(number)
            return (
                f"{samples.element(i)} after {samples.element(j)} does not act on {title} as their product:"
                f" {what}"
            )

        _none(gaps, says)
    return f"{len(pairs)} products of elements act as one element after the other"


def check_equivariance(samples: WorldSamples) -> str:
    """step(g·s, g·a) is g·step(s, a)."""
    world = samples.world
    after = world.step_states(samples.states.copy(), samples.actions.copy())
    gaps = []
    for element in samples.elements:
        moved = world.step_states(
            world.transform_state(element, samples.states.copy()),
            world.transform_action(element, samples.actions.copy()),
        )
        gaps.append(samples.state_gap(moved, world.transform_state(element, after.copy())))
    _none(
        gaps,
        lambda g, n: (
            f"step(g·s, g·a) is not g·step(s, a) for {samples.element(g)}, {samples.state(n)} and"
            f" {samples.action(n)}"
        ),
    )
    some = "all" if samples.elements.ndim == 1 else "random"
    return (
        f"step(g·s, g·a) = g·step(s, a) for {some} {number_of(len(gaps), 'element')} and"
        f" {number_of(len(samples.states), 'state')}"
    )


def check_difference(samples: WorldSamples) -> str:
    """`state_difference` is zero between a state and itself, and not between states that differ."""
    states = samples.states
    _none(
        [samples.state_gap(states, states)[None]],
        lambda _, n: f"state_difference of a state and itself is not 0: {samples.state(n)}",
    )
    others = np.roll(states, 1, axis=0)
    if (states != others).any() and not samples.state_gap(states, others).any():
        raise FaultError("state_difference is 0 between states that differ")
    return "0 between equal states only"


def check_pixels(samples: WorldSamples) -> str:
    """If the action on images is known, the picture of the moved world is the moved picture."""
    symmetry = samples.world.symmetry
    pixels = None if symmetry.observation is None else symmetry.representations[symmetry.observation]
    if not isinstance(pixels, Representation):
        raise NotApplicableError("the world does not say how its group acts on images")
    frames = samples.world.render_states(samples.states.copy())
    flat = frames.reshape(len(frames), -1, frames.shape[-1])
    gaps = []
    elements = (0, *symmetry.twin_elements)
    for element in elements:
        seen = samples.world.render_states(samples.world.transform_state(element, samples.states.copy()))
        moved = pixels.apply(element, flat, axis=1).astype(np.int64)
        gaps.append(np.abs(moved - seen.reshape(flat.shape)).reshape(len(frames), -1).max(axis=1))
    _none(
        gaps,
        lambda g, n: f"{samples.element(elements[g])} does not act on images as it says: {samples.state(n)}",
    )
    return f"the picture of the moved world is the moved picture, for {number_of(len(elements), 'element')}"


def check_negatives(samples: WorldSamples) -> str:
    """Hard negatives are states beside each state, in batches as for single ones, and can be drawn."""
    world, states = samples.world, samples.states
    try:
        negatives = world.negative_states(states.copy())
    except WorldError as error:
        raise NotApplicableError("the world has no hard negatives") from error
    if negatives.ndim != states.ndim + 1 or negatives.shape[:1] + negatives.shape[2:] != states.shape:
        raise FaultError(f"negative_states gives the shape {list(negatives.shape)} for {list(states.shape)}")
    single = np.stack([world.negative_states(state.copy()) for state in states])
    if not np.array_equal(single, negatives):
        raise FaultError("negative_states gives another result in a batch than alone")
    world.render_states(negatives)
    return f"{negatives.shape[1]} beside each state"


def check_slice(samples: WorldSamples) -> str:
    """Transitions that are drawn from the slice are in it, and in its orbit where twins have them."""
    world, count = samples.world, len(samples.states)
    try:
        (states, actions), again = (_transitions_of_slice(world, count) for _ in range(2))
    except WorldError as error:
        raise NotApplicableError("the world has no slice of its orbits") from error
    if not (np.array_equal(states, again[0]) and np.array_equal(actions, again[1])):
        raise FaultError("sample_slice draws different transitions from equal generators")
    inside = world.slice_distance(states.copy(), actions.copy())
    if inside.shape != (count,):
        raise FaultError(f"slice_distance gives the shape {list(inside.shape)} for {count} transitions")
    if inside.any():
        raise FaultError(
            f"sample_slice draws a transition that is {inside.max():.3g} degrees from the slice, not 0"
        )
    elements = samples.elements
    if elements.ndim == 1:
        elements = np.array([0, *world.symmetry.twin_elements])
    elements = elements[np.arange(count) % len(elements)]
    moved = world.transform_state(elements, states), world.transform_action(elements, actions)
    distances = world.slice_distance(*(array.copy() for array in moved))
    if not (np.isfinite(distances) & (distances >= 0)).all():
        raise FaultError("slice_distance says that twins of transitions of the slice are beyond its orbit")
    single = np.array([world.slice_distance(moved[0][n], moved[1][n]) for n in range(count)])
    if not np.allclose(single, distances, rtol=0, atol=_DEGREES):
        raise FaultError("slice_distance gives another result in a batch than alone")
    return f"{count} transitions of the slice are in it, and their twins in its orbit"


_DEGREES = 1e-6
"""How far angles in degrees may differ through rounding."""


def _transitions_of_slice(world: World, count: int) -> tuple[Array, Array]:
    """States and actions drawn from the slice, each from a generator of its own."""
    drawn = [world.sample_slice(np.random.default_rng(number)) for number in range(count)]
    return np.stack([state for state, _ in drawn]), np.stack([np.asarray(action) for _, action in drawn])


def _none(gaps: list[Array], says: Callable[[int, int], str]) -> None:
    """Makes sure that nothing differs.

    Args:
        gaps: For each element how far each of the N samples is off, ``[N]``; or one ``[1, N]`` for no
            element.
        says: What to say about an element and a sample that differ.

    Raises:
        FaultError: Something differs; the worst is named.
    """
    table = np.concatenate([np.atleast_2d(gap) for gap in gaps]) if gaps else np.zeros((1, 1))
    if table.any():
        element, number = np.unravel_index(int(table.argmax()), table.shape)
        others = f", and so do {int((table > 0).sum()) - 1} other cases of {table.size}"
        raise FaultError(
            f"{says(int(element), int(number))}; they differ by {table.max():.3g}"
            + (others if (table > 0).sum() > 1 else "")
        )
