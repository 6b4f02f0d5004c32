"""How steps are executed where nobody says, and what is said about it."""

from __future__ import annotations

import pytest
import torch

from sen_bench.training.execution import COMPILING_PAYS_FROM, choose_execution

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
LONG, SHORT = COMPILING_PAYS_FROM, COMPILING_PAYS_FROM - 1


@pytest.mark.parametrize(
    ("device", "steps", "compiled", "graph", "expected"),
    [
        (CPU, LONG, None, None, (False, False)),
        (CPU, SHORT, True, None, (True, False)),
        (GPU, LONG, None, None, (True, True)),
        (GPU, SHORT, None, None, (False, False)),
        (GPU, LONG, False, None, (False, True)),
        (GPU, LONG, None, False, (True, False)),
        (GPU, SHORT, None, True, (False, True)),
        (GPU, SHORT, True, True, (True, True)),
    ],
)
def test_a_long_run_on_a_gpu_is_a_graph_of_compiled_code(
    device: torch.device,
    steps: int,
    compiled: bool | None,  # noqa: FBT001
    graph: bool | None,  # noqa: FBT001
    expected: tuple[bool, bool],
) -> None:
    chosen = choose_execution(device, steps=steps, held=True, compiled=compiled, graph=graph)
    assert (chosen.compiled, chosen.graph) == expected
    assert (chosen.must_compile, chosen.must_graph) == (compiled is True, graph is True)
    assert (chosen.notice is not None) == (device == GPU and None in (compiled, graph))


def test_it_is_said_in_one_line() -> None:
    said = choose_execution(GPU, steps=9_700, held=True, compiled=None, graph=None).notice
    assert said == "steps: as one CUDA graph of compiled code (9,700 are left; compiling pays from 2,500 on)"
    streamed = choose_execution(GPU, steps=9_700, held=False, compiled=None, graph=None)
    assert (streamed.compiled, streamed.graph) == (True, False)
    assert streamed.notice is not None
    assert streamed.notice.endswith("; steps are no CUDA graph, because the training data is streamed")
    assert "\n" not in streamed.notice
