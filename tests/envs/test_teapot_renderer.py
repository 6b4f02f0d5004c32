"""The teapot's shape is Newell's, its pictures are those of two oracles, and equal on every machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sen_bench.envs.teapot import Teapot, small_actions
from sen_bench.envs.teapot_mesh import SEGMENTS, Mesh, control_points
from sen_bench.envs.teapot_renderer import TeapotRenderer
from sen_bench.envs.teapot_scene import BACKGROUND
from tests.oracles.teapot import bezier_point, cast_rays
from tests.support.orientations import orientations

PARTS = {"body": (0, 12), "handle": (12, 16), "spout": (16, 20), "lid": (20, 28), "bottom": (28, 32)}
MIRROR = np.array([1.0, -1.0, 1.0])


def as_sets(patches: NDArray[np.float64]) -> Counter[frozenset[tuple[float, ...]]]:
    """Patches as sets of control points, whatever their order."""
    rounded = np.round(patches.reshape(len(patches), 16, 3), 9) + 0.0
    return Counter(frozenset(map(tuple, patch.tolist())) for patch in rounded)


class TestControlPoints:
    """Slips of the pen would break one of these."""

    def test_there_are_32_patches_as_large_as_published(self) -> None:
        points = control_points()
        assert points.shape == (32, 4, 4, 3)
        np.testing.assert_array_equal(points.min(axis=(0, 1, 2)), (-3, -2, 0))
        np.testing.assert_array_equal(points.max(axis=(0, 1, 2)), (3.525, 2, 3.15))

    def test_the_teapot_has_a_mirror_plane(self) -> None:
        assert as_sets(control_points() * MIRROR) == as_sets(control_points())

    @pytest.mark.parametrize("part", ["body", "lid", "bottom"])
    def test_quarter_turns_map_what_is_round_onto_itself(self, part: str) -> None:
        patches = control_points()[slice(*PARTS[part])]
        turned = patches[..., [1, 0, 2]] * np.array([-1.0, 1.0, 1.0])
        assert as_sets(turned) == as_sets(patches)

    @pytest.mark.parametrize("part", ["handle", "spout"])
    def test_handle_and_spout_are_not_round(self, part: str) -> None:
        patches = control_points()[slice(*PARTS[part])]
        assert as_sets(patches * -MIRROR) != as_sets(patches)

    def test_neighbours_share_whole_edges(self) -> None:
        """The parts are closed but for their rims: an edge of a patch is that of another one, or a rim."""
        edges: Counter[frozenset[tuple[float, ...]]] = Counter()
        for patch in control_points():
            for edge in (patch[0], patch[-1], patch[:, 0], patch[:, -1]):
                edges[frozenset(map(tuple, edge.tolist()))] += 1
        tips = sum(len(edge) == 1 for edge in edges)
        rims = sum(count % 2 for edge, count in edges.items() if len(edge) > 1)
        # Lid and bottom have a tip. Rims: body above 4, lid below 4, both ends of handle and spout 2 each.
        assert (tips, rims) == (2, 16)


class TestMesh:
    @pytest.mark.parametrize("segments", [3, SEGMENTS])
    def test_vertices_lie_on_the_patches(self, segments: int) -> None:
        patches, mesh = control_points(), Mesh.teapot(segments)
        expected = np.array(
            [
                bezier_point(patch, i / segments, j / segments)
                for patch in patches
                for i in range(segments + 1)
                for j in range(segments + 1)
            ]
        )
        expected -= (expected.max(axis=0) + expected.min(axis=0)) / 2
        expected /= np.linalg.norm(expected, axis=1).max()
        np.testing.assert_allclose(mesh.vertices, expected, rtol=0, atol=1e-13)

    def test_normals_are_perpendicular_to_the_patches(self) -> None:
        """Against differences along both directions, in the middle of the patches."""
        mesh, step, n = Mesh.teapot(2), 1e-5, 3
        normals = mesh.normals.reshape(32, n, n, 3)
        np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-14)
        for patch, normal in zip(control_points(), normals[:, 1, 1], strict=True):
            middle = bezier_point(patch, 0.5, 0.5)
            for s, t in ((0.5 + step, 0.5), (0.5, 0.5 + step)):
                along = bezier_point(patch, s, t) - middle
                assert abs(along @ normal) < 1e-3 * np.linalg.norm(along)

    def test_normals_at_the_tips_point_up_and_down(self) -> None:
        normals = Mesh.teapot().normals.reshape(32, SEGMENTS + 1, SEGMENTS + 1, 3)
        np.testing.assert_allclose(normals[20:24, 0], np.broadcast_to([0, 0, 1], (4, SEGMENTS + 1, 3)))
        np.testing.assert_allclose(normals[28:32, 0], np.broadcast_to([0, 0, -1], (4, SEGMENTS + 1, 3)))

    @pytest.mark.parametrize("part", PARTS)
    def test_triangles_are_seen_counter_clockwise_from_outside(self, part: str) -> None:
        mesh, per_patch = Mesh.teapot(), (SEGMENTS + 1) ** 2
        patch = mesh.triangles[:, 0] // per_patch
        corners = mesh.vertices[mesh.triangles[(PARTS[part][0] <= patch) & (patch < PARTS[part][1])]]
        corners = corners - corners.mean(axis=(0, 1))
        # The signed volume under all triangles, seen from the middle of the part.
        assert np.linalg.det(corners).sum() > 0

    def test_normals_point_to_the_side_that_triangles_face(self) -> None:
        mesh = Mesh.teapot()
        corners = mesh.vertices[mesh.triangles]
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        agrees = (facing[:, None] * mesh.normals[mesh.triangles]).sum(axis=2) > 0
        # Around the knob the surface bends by more than a right angle within a triangle or two.
        assert agrees.mean() > 0.98

    def test_fits_the_unit_ball(self) -> None:
        mesh = Mesh.teapot()
        assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(1, abs=1e-15)
        assert (np.linalg.norm(np.diff(mesh.vertices[mesh.triangles], axis=1), axis=2) > 0).all()


class TestOracles:
    def test_pictures_are_those_of_cast_rays(self) -> None:
        size, mesh = 48, Mesh.teapot()
        for rotation in orientations(6):
            ours = TeapotRenderer(mesh, size=size, samples=1).render(rotation)[..., 0].astype(float)
            rays = cast_rays(mesh, rotation, size)
            # A ray along an edge may fall on either side of it, and vertices are rounded to 1/16 of a pixel.
            assert ((rays > BACKGROUND) != (ours > BACKGROUND)).mean() < 0.003
            difference = np.abs(ours - rays)
            assert (difference > 6).mean() < 0.01
            assert np.median(difference[rays > BACKGROUND]) < 1

    def test_pictures_are_those_of_pybullet(self) -> None:
        pytest.importorskip("pybullet", reason="the oracle needs pybullet: pip install 'sen-bench[pybullet]'")
        states = orientations(60)
        ours = Teapot().render_states(states)[..., 0].astype(float)
        theirs = Teapot(renderer="pybullet").render_states(states)[..., 0].astype(float)
        for one, other in zip(ours, theirs, strict=True):
            a, b = one > 20, other > 20
            assert (a & b).sum() / (a | b).sum() >= 0.98
            assert np.corrcoef(one[a & b], other[a & b])[0, 1] >= 0.99
        assert np.abs(ours - theirs).mean() < 0.5

    def test_supersampling_is_the_mean_of_samples(self) -> None:
        states, mesh = orientations(5), Mesh.teapot()
        fine = TeapotRenderer(mesh, size=128, samples=1).render(states)[..., 0].astype(float)
        mean = fine.reshape(5, 64, 2, 64, 2).mean(axis=(2, 4))
        ours = TeapotRenderer(mesh, size=64, samples=2).render(states)[..., 0]
        # Each sample was rounded down to a gray of its own here, and to a sixteenth of one there.
        assert np.abs(ours - mean).max() <= 1.5


class TestEveryOrientationIsDistinct:
    """The largest part of a picture is background, and small differences in it would be lost in noise."""

    LEAST = 2.0  # mean absolute difference of two frames, in gray levels

    def test_small_actions_change_the_picture(self) -> None:
        world, states = Teapot(actions="small"), orientations(300)
        frames = world.render_states(states).astype(int)
        for action in small_actions():
            after = world.render_states(world.step_states(states, action))
            difference = np.abs(after - frames)
            assert difference.mean(axis=(1, 2, 3)).min() > self.LEAST
            assert difference.max(axis=(1, 2, 3)).min() > 64

    def test_negatives_differ_from_each_other_and_from_the_state(self) -> None:
        # Among the states that a search for the worst led to are those turned by right angles.
        special = Rotation.create_group("O").as_matrix()
        world, states = Teapot(), np.concatenate([orientations(200, seed=1), special])
        near = np.concatenate([states[:, None], world.negative_states(states)], axis=1)
        frames = world.render_states(near).astype(int)
        for i in range(7):
            for j in range(i):
                assert np.abs(frames[:, i] - frames[:, j]).mean(axis=(1, 2, 3)).min() > self.LEAST

    def test_no_turn_of_the_teapot_about_its_own_axes_is_a_symmetry(self) -> None:
        world, states = Teapot(), orientations(100, seed=2)
        frames = world.render_states(states).astype(int)
        quarter = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
        for axis in range(3):
            turn = np.roll(quarter, (axis, axis), axis=(0, 1))
            for turned in (states @ turn, states @ turn @ turn, states @ turn.T):
                difference = np.abs(world.render_states(turned) - frames)
                assert difference.mean(axis=(1, 2, 3)).min() > self.LEAST

    def test_unrelated_orientations_differ(self) -> None:
        frames = Teapot().render_states(orientations(150, seed=3)).astype(np.int16)
        for i in range(1, len(frames)):
            assert np.abs(frames[:i] - frames[i]).mean(axis=(1, 2, 3)).min() > self.LEAST


class TestPicture:
    def test_nothing_touches_the_border(self) -> None:
        frames = Teapot().render_states(orientations(300))
        border = np.concatenate([frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]], axis=1)
        assert (border == BACKGROUND).all()

    def test_the_identity_shows_it_upright_with_the_spout_to_the_right(self) -> None:
        seen = Teapot().render_states(np.eye(3))[..., 0] > BACKGROUND
        columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
        # The spout is further from the body than the handle, and the lid stands on the top.
        assert seen[:, columns[-1]].sum() < seen[:, columns[0]].sum() + 3
        assert seen[rows[0]].sum() < 8 < seen[rows[-1]].sum()
        handle, spout = seen[:, : columns[0] + 8], seen[:, columns[-1] - 7 :]
        assert np.flatnonzero(spout.any(axis=1)).max() < np.flatnonzero(handle.any(axis=1)).max()

    def test_light_comes_from_the_upper_left(self) -> None:
        frame = TeapotRenderer(Mesh.teapot(), size=128).render(np.eye(3))[..., 0].astype(float)
        rows, columns = np.nonzero(frame)
        gray = frame[rows, columns]
        assert np.corrcoef(gray, columns)[0, 1] < -0.3
        assert np.corrcoef(gray, rows)[0, 1] < -0.3


@pytest.mark.parametrize(
    ("settings", "frames"),
    [
        pytest.param({"NUMBA_DISABLE_JIT": "1"}, 2, id="interpreted"),
        pytest.param(
            {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
            50,
            id="plain-processor",
            marks=pytest.mark.slow,
        ),
        pytest.param({"NUMBA_OPT": "0"}, 50, id="not-optimised", marks=pytest.mark.slow),
    ],
)
def test_pixels_do_not_depend_on_how_the_code_is_compiled(settings: dict[str, str], frames: int) -> None:
    """A processor without fused or vector instructions draws the same bits, and so does the interpreter."""
    program = (
        "import hashlib; from tests.support.orientations import orientations;"
        "from sen_bench.envs.teapot_renderer import TeapotRenderer;"
        f"print(hashlib.sha256(TeapotRenderer.shared().render(orientations({frames}))).hexdigest())"
    )
    environment = {**os.environ, **settings}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    ours: Any = TeapotRenderer.shared().render(orientations(frames))
    assert done.stdout.strip() == hashlib.sha256(ours).hexdigest()
