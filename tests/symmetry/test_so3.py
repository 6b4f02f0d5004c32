"""SO(3): uniform, a group, its representations are homomorphisms, and all of it is data."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from sen_bench.symmetry import SO3, Group, Representation, SO3Representation, Symmetry, SymmetryError

SO3_GROUP = SO3()
ROTATION = SO3Representation(SO3_GROUP, "rotation", 1)
SYMMETRY = Symmetry(SO3_GROUP, {"rotation": ROTATION}, description="turns")


def rotations(count: int, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    return np.stack([SO3_GROUP.sample(rng) for _ in range(count)])


class TestSampling:
    """Haar's measure on SO(3) is the only one that no rotation changes."""

    def test_angles_have_haars_density(self) -> None:
        """The angle t of a Haar-random rotation has the distribution function (t − sin t) / π."""
        angles = np.asarray(Rotation.from_matrix(rotations(5000)).magnitude())
        assert stats.kstest(angles, lambda t: (t - np.sin(t)) / np.pi).pvalue > 1e-3

    @pytest.mark.parametrize("row", range(3))
    @pytest.mark.parametrize("column", range(3))
    def test_every_entry_is_uniform(self, row: int, column: int) -> None:
        """A column is a uniform point of the sphere, whose coordinates are uniform (Archimedes)."""
        entries = rotations(5000, seed=1)[:, row, column]
        assert stats.kstest(entries, stats.uniform(-1, 2).cdf).pvalue > 1e-3

    def test_a_fixed_rotation_changes_nothing(self) -> None:
        turn = Rotation.from_rotvec([0.3, -1.2, 0.5]).as_matrix()
        angles = np.asarray(Rotation.from_matrix(turn @ rotations(5000, seed=2)).magnitude())
        assert stats.kstest(angles, lambda t: (t - np.sin(t)) / np.pi).pvalue > 1e-3

    def test_samples_are_rotations_and_follow_the_seed(self) -> None:
        sample = rotations(1000)
        np.testing.assert_allclose(
            sample @ sample.swapaxes(1, 2), np.tile(np.eye(3), (1000, 1, 1)), atol=1e-14
        )
        np.testing.assert_allclose(np.linalg.det(sample), 1, atol=1e-14)
        np.testing.assert_array_equal(rotations(10), sample[:10])
        assert len(np.unique(sample.reshape(1000, 9), axis=0)) == 1000


class TestGroup:
    def test_product_is_that_of_matrices_and_broadcasts(self) -> None:
        a, b, c = (rotations(12, seed) for seed in range(3))
        np.testing.assert_allclose(SO3_GROUP.product(a, b, c), a @ b @ c, atol=1e-15)
        every = SO3_GROUP.product(a[:, None], b)
        assert every.shape == (12, 12, 3, 3)
        np.testing.assert_array_equal(every[3, 4], SO3_GROUP.product(a[3], b[4]))

    def test_inverse_and_identity(self) -> None:
        g = rotations(20)
        ones = SO3_GROUP.product(g, SO3_GROUP.inverse(g))
        np.testing.assert_allclose(ones, np.broadcast_to(SO3_GROUP.identity, ones.shape), atol=1e-15)
        np.testing.assert_array_equal(SO3_GROUP.product(SO3_GROUP.identity, g), g)

    def test_quaternions_are_those_of_scipy(self) -> None:
        quaternions = np.random.default_rng(0).normal(size=(4, 5, 4))
        quaternions /= np.linalg.norm(quaternions, axis=-1, keepdims=True)
        expected = Rotation.from_quat(quaternions.reshape(-1, 4), scalar_first=True).as_matrix()
        ours = SO3.from_quaternion(quaternions).reshape(-1, 3, 3)
        np.testing.assert_allclose(ours, expected, atol=1e-14)

    def test_nearest_squares_the_error(self) -> None:
        g = rotations(50)
        noise = np.random.default_rng(0).normal(size=g.shape)
        for size in (1e-2, 1e-4):
            rough = g + size * noise
            u, _, vt = np.linalg.svd(rough)  # the polar factor u vt is the nearest rotation
            before = np.abs(rough - u @ vt).max()
            after = np.abs(SO3_GROUP.nearest(rough) - u @ vt).max()
            assert after < 5 * before**2

    def test_nearest_commutes_with_the_group(self) -> None:
        g, h = rotations(50, 1), rotations(50, 2)
        rough = rotations(50) + 1e-3 * np.random.default_rng(0).normal(size=g.shape)
        one_way = SO3_GROUP.nearest(SO3_GROUP.product(g, rough, h))
        np.testing.assert_allclose(
            one_way, SO3_GROUP.product(g, SO3_GROUP.nearest(rough), h), rtol=0, atol=1e-14
        )

    @pytest.mark.parametrize(
        ("matrix", "says"),
        [
            (np.diag([1.0, 1.0, -1.0]), "reflection"),
            (-np.eye(3), "reflection"),
            (np.eye(3) * (1 + 1e-6), "orthonormality"),
            (np.full((3, 3), np.nan), "orthonormality"),
            (np.zeros((3, 3)), "orthonormality"),
            (np.eye(3, dtype=np.int64), "floating-point"),
            (np.eye(2), "shape"),
            (np.ones(3), "shape"),
            (np.stack([np.eye(3), np.diag([1.0, -1.0, 1.0])]), "reflection"),
        ],
    )
    def test_what_is_no_rotation_is_refused(self, matrix: NDArray[Any], says: str) -> None:
        with pytest.raises(SymmetryError, match=says) as error:
            SO3_GROUP.check(matrix)
        assert "\n" not in str(error.value)

    def test_rotations_are_accepted_also_in_single_precision(self) -> None:
        g = rotations(10)
        np.testing.assert_array_equal(SO3_GROUP.check(g), g)
        single = SO3_GROUP.check(g.astype(np.float32))
        assert single.dtype == np.float64
        np.testing.assert_allclose(single, g, atol=1e-7)


@pytest.mark.parametrize("power", range(4))
class TestRepresentation:
    def test_is_a_homomorphism(self, power: int) -> None:
        rho = SO3Representation(SO3_GROUP, "test", power)
        g, h = rotations(10, 1), rotations(10, 2)
        np.testing.assert_allclose(
            rho.matrix(SO3_GROUP.product(g, h)), rho.matrix(g) @ rho.matrix(h), rtol=0, atol=1e-14
        )
        np.testing.assert_array_equal(rho.matrix(SO3_GROUP.identity), np.eye(rho.dim))
        assert rho.matrix(g).shape == (10, 3**power, 3**power)

    def test_generators_generate_it(self, power: int) -> None:
        """As a reader of a dataset uses them: exponentials of the stored matrices."""
        rho = SO3Representation(SO3_GROUP, "test", power)
        for vector in np.random.default_rng(0).normal(size=(5, 3)):
            g = Rotation.from_rotvec(vector).as_matrix()
            np.testing.assert_allclose(
                expm(np.tensordot(vector, rho.generators, axes=1)), rho.matrix(g), rtol=0, atol=1e-12
            )

    def test_round_trips_through_json(self, power: int) -> None:
        rho = SO3Representation(SO3_GROUP, "test", power)
        assert SO3Representation.from_json(SO3_GROUP, json.loads(json.dumps(rho.to_json()))) == rho


def test_the_second_power_is_conjugation() -> None:
    g, a = rotations(2)
    conjugated = SO3Representation(SO3_GROUP, "action", 2).matrix(g) @ a.ravel()
    np.testing.assert_allclose(conjugated.reshape(3, 3), g @ a @ g.T, atol=1e-15)


@pytest.mark.parametrize("power", [-1, 5, 1.5, "2", None])
def test_other_powers_are_refused(power: Any) -> None:
    with pytest.raises(SymmetryError, match="power"):
        SO3Representation(SO3_GROUP, "test", power)


class TestSymmetry:
    def test_round_trips_through_json(self) -> None:
        again = Symmetry.from_json(json.loads(json.dumps(SYMMETRY.to_json())))
        assert again == SYMMETRY
        assert (hash(again), again.description) == (hash(SYMMETRY), "turns")

    def test_twins_are_drawn_from_the_whole_group(self) -> None:
        assert SYMMETRY.has_twins
        rng, same = np.random.default_rng(3), np.random.default_rng(3)
        np.testing.assert_array_equal(SYMMETRY.draw_twin_element(rng), SO3_GROUP.sample(same))

    def test_twins_of_finite_groups_are_drawn_from_the_list(self) -> None:
        group = Group.cyclic(4)
        rng = np.random.default_rng(0)
        drawn = [int(Symmetry(group, {}, (1, 3)).draw_twin_element(rng)) for _ in range(50)]
        assert set(drawn) == {1, 3}
        assert not Symmetry(group, {}, ()).has_twins

    @pytest.mark.parametrize(
        "change",
        [
            {"twin_elements": [1]},
            {"group": {"family": "special orthogonal", "n": 4}},
            {"group": {"family": "special orthogonal"}},
            {"representations": {"rotation": {"name": "rotation", "kind": "matrix", "power": 1}}},
            {"representations": {"rotation": {"name": "rotation", "kind": "tensor power"}}},
            {"representations": {"rotation": {"name": "rotation", "kind": "tensor power", "power": 9}}},
            {"representations": [1]},
            {"observation": "pixels"},
        ],
    )
    def test_json_that_is_no_symmetry_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(SymmetryError):
            Symmetry.from_json({**SYMMETRY.to_json(), **change})

    def test_lists_of_twin_elements_are_refused(self) -> None:
        with pytest.raises(SymmetryError, match="twin element"):
            Symmetry(SO3_GROUP, {}, (1,))

    def test_representations_of_another_group_are_refused(self) -> None:
        wrong: Any = {"regular": Representation.regular(Group.cyclic(4))}
        with pytest.raises(SymmetryError, match=r"represents C4, not SO\(3\)"):
            Symmetry(SO3_GROUP, wrong)

    def test_the_json_of_finite_groups_is_as_it_was(self) -> None:
        """What datasets of format version 1 hold, word for word."""
        data = {
            "group": {"name": "C2", "family": "cyclic", "n": 2},
            "representations": {
                "sign": {"name": "sign", "kind": "matrix", "dim": 1, "generators": {"1": [[-1.0]]}}
            },
            "twin_elements": [1],
            "observation": None,
            "description": "a line",
        }
        symmetry = Symmetry.from_json(data)
        assert symmetry.to_json() == data
        assert symmetry == Symmetry(
            Group.cyclic(2), {"sign": Representation.sign(Group.cyclic(2))}, (1,), None, "a line"
        )


@pytest.mark.parametrize("power", [0, 1, 2])
def test_the_generators_of_rotations_are_given_as_a_tensor(power: int) -> None:
    """The matrix of a turn is the exponential of what they give, as the docstring says."""
    group = SO3()
    rho = SO3Representation(group, "rho", power)
    vectors = torch.tensor([[0.3, 0.0, 0.0], [0.0, -1.2, 0.5]], dtype=torch.float64)
    turns = torch.matrix_exp(torch.einsum("bk,kij->bij", vectors, rho.tensor(dtype=torch.float64)))
    angle = vectors.norm(dim=1, keepdim=True) / 2
    quaternions = torch.cat([angle.cos(), angle.sin() * vectors / (2 * angle)], dim=1)
    expected = rho.matrix(group.from_quaternion(quaternions.numpy()))
    np.testing.assert_allclose(turns.numpy(), expected, atol=1e-12)
