"""A world that ends the process that draws it, once, where a test asks for it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from sen_bench.envs import register_world
from sen_bench.envs.world import Pixels
from tests.support.fake_worlds import Wide

MORTAL = "tests.support.mortal_world:sen_bench_tests/Mortal-v0"
VARIABLE = "SEN_BENCH_TESTS_MORTAL"
"""Environment variable: while the file that it names is there, the next who draws dies, and it is gone."""


class Mortal(Wide):
    """`Wide`, and mortal."""

    world_id: ClassVar[str] = "sen_bench_tests/Mortal-v0"

    def render_states(self, states: NDArray[Any]) -> Pixels:
        # A single state is what planning draws.
        if VARIABLE in os.environ and states.ndim > len(self.state_axes):
            try:
                Path(os.environ[VARIABLE]).unlink()
            except FileNotFoundError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().render_states(states)


register_world("sen_bench_tests/Mortal-v0", "tests.support.mortal_world:Mortal")
