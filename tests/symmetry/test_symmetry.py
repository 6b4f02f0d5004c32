"""Groups are groups, representations are homomorphisms, and all of it survives JSON."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sen_bench.symmetry import Group, Representation, Symmetry, SymmetryError

GROUPS = [
    *(Group.cyclic(n) for n in range(1, 8)),
    *(Group.dihedral(n) for n in range(1, 7)),
    *(Group.symmetric(n) for n in range(1, 5)),
    Group.product(Group.cyclic(4), Group.symmetric(3)),
    Group.product(Group.dihedral(3), Group.cyclic(2)),
]


def _ids(group: Group) -> str:
    return group.name


def _representations(group: Group) -> list[Representation]:
    built = [Representation.trivial(group), Representation.regular(group)]
    for make in (Representation.sign, Representation.standard):
        try:
            built.append(make(group))
        except SymmetryError:
            continue
    return built


def _through_json(data: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(json.dumps(data))
    return decoded


@pytest.mark.parametrize("group", GROUPS, ids=_ids)
def test_product_is_associative_with_identity_and_inverses(group: Group) -> None:
    table, everyone = group.cayley, np.arange(group.order)
    assert np.array_equal(table[table], table[:, table])
    assert np.array_equal(table[0], everyone)
    assert np.array_equal(table[:, 0], everyone)
    assert not table[everyone, group.inverse].any()
    assert not table[group.inverse, everyone].any()


@pytest.mark.parametrize("group", GROUPS, ids=_ids)
def test_generators_reach_every_element(group: Group) -> None:
    reached = {0}
    while True:
        more = reached | {int(group.cayley[s, g]) for s in group.generators for g in reached}
        if more == reached:
            break
        reached = more
    assert len(reached) == group.order


def test_orders() -> None:
    assert [Group.cyclic(n).order for n in (1, 4, 7)] == [1, 4, 7]
    assert [Group.dihedral(n).order for n in (1, 4)] == [2, 8]
    assert [Group.symmetric(n).order for n in (1, 3, 5)] == [1, 6, 120]
    assert Group.product(Group.cyclic(4), Group.symmetric(5)).order == 480


def test_dihedral_group_obeys_its_relation() -> None:
    group = Group.dihedral(5)
    r, f = 1, 5
    assert group.cayley[f, r] == group.cayley[group.inverse[r], f]
    assert group.cayley[f, f] == 0


def test_symmetric_group_composes_permutations() -> None:
    elements = list(itertools.permutations(range(4)))
    table = Group.symmetric(4).cayley
    for (i, a), (j, b) in itertools.product(enumerate(elements), repeat=2):
        assert elements[table[i, j]] == tuple(a[b[k]] for k in range(4))


def test_product_indexes_pairs() -> None:
    a, b = Group.cyclic(4), Group.symmetric(3)
    both = Group.product(a, b)
    for x, y, u, v in itertools.product(range(4), range(6), range(4), range(6)):
        assert both.cayley[x * 6 + y, u * 6 + v] == a.cayley[x, u] * 6 + b.cayley[y, v]


@pytest.mark.parametrize("group", GROUPS, ids=_ids)
def test_representations_are_homomorphisms(group: Group) -> None:
    for rho in _representations(group):
        products = np.einsum("aij,bjk->abik", rho.matrix, rho.matrix)
        np.testing.assert_allclose(products, rho.matrix[group.cayley], atol=1e-9)


@pytest.mark.parametrize("group", GROUPS, ids=_ids)
def test_apply_multiplies_by_the_matrix(group: Group) -> None:
    rng = np.random.default_rng(0)
    for rho in _representations(group):
        x = rng.standard_normal((2, rho.dim, 3))
        for g in range(group.order):
            expected = np.einsum("ij,ajb->aib", rho.matrix[g], x)
            np.testing.assert_allclose(rho.apply(g, x, axis=1), expected, atol=1e-9)


def test_permutation_says_where_each_index_goes() -> None:
    rho = Representation.regular(Group.dihedral(4))
    assert rho.permutation is not None
    x = np.arange(8.0)
    for g in range(8):
        assert np.array_equal(rho.apply(g, x)[rho.permutation[g]], x)


def test_standard_rotations_are_counter_clockwise_and_exact_for_quarter_turns() -> None:
    matrix = Representation.standard(Group.cyclic(4)).matrix
    assert np.array_equal(matrix[1] @ [1, 0], [0, 1])
    assert set(np.unique(matrix)) == {-1.0, 0.0, 1.0}


def test_sign_of_permutations() -> None:
    values = Representation.sign(Group.symmetric(4)).matrix[:, 0, 0]
    for permutation, value in zip(itertools.permutations(range(4)), values, strict=True):
        inversions = sum(a > b for a, b in itertools.combinations(permutation, 2))
        assert value == (-1) ** inversions


def test_cyclic_groups_of_odd_order_have_no_sign() -> None:
    with pytest.raises(SymmetryError, match="C3 has no sign"):
        Representation.sign(Group.cyclic(3))


def test_direct_sum_acts_on_each_part() -> None:
    group = Group.dihedral(4)
    parts = (Representation.standard(group), Representation.regular(group))
    rho = parts[0].direct_sum(parts[1])
    x = np.random.default_rng(0).standard_normal(10)
    for g in range(8):
        expected = np.concatenate([parts[0].apply(g, x[:2]), parts[1].apply(g, x[2:])])
        np.testing.assert_allclose(rho.apply(g, x), expected, atol=1e-12)


def test_direct_sum_of_permutations_stays_a_permutation() -> None:
    rho = Representation.regular(Group.cyclic(4))
    both = rho.direct_sum(rho)
    assert both.permutation is not None
    assert np.array_equal(both.matrix[:, :4, :4], rho.matrix)
    assert np.array_equal(both.matrix[:, 4:, 4:], rho.matrix)


@pytest.mark.parametrize("first", [Representation.standard, Representation.regular])
def test_tensor_product_is_the_kronecker_product(first: Any) -> None:
    group = Group.cyclic(4)
    a, b = first(group), Representation.regular(group)
    for g in range(4):
        np.testing.assert_allclose(a.tensor_product(b).matrix[g], np.kron(a.matrix[g], b.matrix[g]))


def test_pullback_follows_the_homomorphism() -> None:
    c4 = Group.cyclic(4)
    both = Group.product(c4, Group.symmetric(3))
    rho = Representation.standard(c4).pullback(both, np.arange(24) // 6)
    assert np.array_equal(rho.matrix[7], Representation.standard(c4).matrix[1])


def test_pullback_refuses_what_is_no_homomorphism() -> None:
    with pytest.raises(SymmetryError, match="not a homomorphism"):
        Representation.standard(Group.cyclic(4)).pullback(Group.cyclic(4), np.array([0, 1, 2, 1]))


@pytest.mark.parametrize("group", GROUPS, ids=_ids)
def test_json_round_trip(group: Group) -> None:
    assert Group.from_json(_through_json(group.to_json())) == group
    table_only = Group(group.name, group.cayley, group.generators)
    assert Group.from_json(_through_json(table_only.to_json())) == group
    for rho in _representations(group):
        again = Representation.from_json(group, _through_json(rho.to_json()))
        assert again == rho
        assert (again.permutation is None) == (rho.permutation is None)


def test_quarter_turns_are_those_of_images_and_stay_short_in_json() -> None:
    group = Group.product(Group.cyclic(4), Group.symmetric(3))
    turns = np.arange(group.order) // 6
    rho = Representation.quarter_turns(group, "pixel", 7, turns)
    image = np.random.default_rng(0).integers(256, size=(7, 7, 3))
    for g, k in enumerate(turns.tolist()):
        turned = rho.apply(g, image.reshape(49, 3), axis=0).reshape(7, 7, 3)
        assert np.array_equal(turned, np.rot90(image, k))
    text = json.dumps(rho.to_json())
    assert len(text) < 120
    again = Representation.from_json(group, json.loads(text))
    assert again == rho
    assert again.to_json() == rho.to_json()
    # The same, from the images of the generators: only shorter.
    assert rho.permutation is not None
    images = {s: rho.permutation[s] for s in group.generators}
    assert Representation.from_generators(group, "pixel", images, permutation=True) == rho


@pytest.mark.parametrize(
    "change",
    [{"size": 0}, {"size": 2.0}, {"size": True}, {"turns": {}}, {"turns": {"1": 1, "3": 0}}, {"turns": [1]}],
)
def test_json_that_is_no_turning_is_refused(change: dict[str, Any]) -> None:
    group = Group.cyclic(4) if "3" not in change.get("turns", {}) else Group.dihedral(3)
    data = Representation.quarter_turns(Group.cyclic(4), "pixel", 3, np.arange(4)).to_json()
    with pytest.raises(SymmetryError):
        Representation.from_json(group, {**data, **change})


def test_large_permutations_are_compared_without_matrices() -> None:
    """As matrices, those of C4 on 200 × 200 pixels would take 51 GB."""
    one, other = (Representation.quarter_turns(Group.cyclic(4), "p", 200, np.arange(4)) for _ in range(2))
    assert one == other
    assert one != Representation.quarter_turns(Group.cyclic(4), "p", 200, -np.arange(4))


def test_symmetry_round_trips_and_keeps_its_names() -> None:
    group = Group.dihedral(4)
    representations = {"torque": Representation.sign(group), "plane": Representation.standard(group)}
    symmetry = Symmetry(group, representations, (1, 5), observation="plane", description="a square")
    again = Symmetry.from_json(_through_json(symmetry.to_json()))
    assert again == symmetry
    assert list(again.representations) == ["torque", "plane"]
    assert (again.twin_elements, again.observation, again.description) == ((1, 5), "plane", "a square")


@given(st.permutations(range(6)), st.permutations(range(6)))
def test_only_homomorphisms_are_accepted(first: list[int], second: list[int]) -> None:
    """Two permutations represent D_3 exactly when they obey r³ = f² = 1 and f r f = r⁻¹."""
    r, f = np.array(first), np.array(second)
    identity = np.arange(6)
    holds = all(np.array_equal(word, identity) for word in (r[r[r]], f[f], f[r[f[r]]]))
    group = Group.dihedral(3)
    if holds:
        Representation.from_generators(group, "test", {1: r, 3: f}, permutation=True)
    else:
        with pytest.raises(SymmetryError, match="not a homomorphism"):
            Representation.from_generators(group, "test", {1: r, 3: f}, permutation=True)


def _table_that_is_a_loop_but_no_group() -> np.ndarray[Any, Any]:
    """The smallest Latin square with an identity that is not associative, of order 5."""
    rows = ["01234", "10342", "24013", "32401", "43120"]
    return np.array([[int(c) for c in row] for row in rows])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((2, 3), int), "shape"),
        (np.array([[0.0]]), "not integers"),
        (np.array([[1, 0], [0, 1]]), "identity"),
        (np.array([[0, 1], [1, 1]]), "Latin"),
        (_table_that_is_a_loop_but_no_group(), "associative"),
    ],
)
def test_tables_that_are_no_group_are_refused(table: Any, message: str) -> None:
    with pytest.raises(SymmetryError, match=message):
        Group("wrong", table, tuple(range(1, len(table))))


def test_generators_that_do_not_generate_are_refused() -> None:
    with pytest.raises(SymmetryError, match="reach"):
        Group("C4", Group.cyclic(4).cayley, (2,))


@pytest.mark.parametrize(
    "data",
    [
        {"family": "spherical", "n": 3},
        {"family": "cyclic"},
        {"family": "cyclic", "n": 0},
        {"family": "cyclic", "n": "4"},
        {"family": "symmetric", "n": 9},
        {"family": "product", "factors": [{"family": "cyclic", "n": 2}]},
        {},
    ],
)
def test_json_that_is_no_group_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(SymmetryError):
        Group.from_json(data)


@pytest.mark.parametrize(
    "change",
    [{"kind": "spin"}, {"generators": {"1": [0, 0, 1, 2]}}, {"generators": {}}, {"generators": [1]}],
)
def test_json_that_is_no_representation_is_refused(change: dict[str, Any]) -> None:
    group = Group.cyclic(4)
    with pytest.raises(SymmetryError):
        Representation.from_json(group, {**Representation.regular(group).to_json(), **change})


def test_symmetry_refuses_what_does_not_fit() -> None:
    c4, d4 = Group.cyclic(4), Group.dihedral(4)
    with pytest.raises(SymmetryError, match="represents D4"):
        Symmetry(c4, {"plane": Representation.standard(d4)}, (1,))
    with pytest.raises(SymmetryError, match="twin element"):
        Symmetry(c4, {}, (0,))
    with pytest.raises(SymmetryError, match="observations"):
        Symmetry(c4, {}, (1,), observation="pixels")


def test_arrays_cannot_be_changed() -> None:
    group = Group.cyclic(4)
    for array in (group.cayley, group.inverse, Representation.regular(group).permutation):
        assert array is not None
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_matrices_are_given_as_tensors_of_their_own() -> None:
    """Without a warning, although the arrays are read-only; in the types that networks compute in."""
    regular = Representation.regular(Group.dihedral(3))
    tensor = regular.tensor()
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor.numpy(), regular.matrix)
    tensor[0] = 7
    np.testing.assert_array_equal(regular.matrix[0], np.eye(6))
    plane = Representation.standard(Group.cyclic(3)).tensor("cpu", torch.float64)
    np.testing.assert_array_equal(plane.numpy(), Representation.standard(Group.cyclic(3)).matrix)


def test_the_symmetry_is_there_without_pytorch() -> None:
    program = (
        "import sys; from sen_bench.symmetry import *; Representation.regular(Group.cyclic(2)).matrix;"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
