"""Where the time of training goes: stages of a step by the clock, then a trace of a few steps."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from sen_bench.system import device_name, write_atomically

WARM_UP, TIMED, TRACED = 10, 20, 5
"""Steps before anything is measured (the first ones compile, choose algorithms and take memory), steps by the
clock, and steps in the trace."""

TRACE_NAME: Final = "profile.json.gz"
"""File in the folder of a run; Chrome's trace format, which Perfetto reads too."""


@dataclass(frozen=True)
class Operator:
    """What one operator of PyTorch, or one kernel of a GPU, cost in the traced steps.

    Attributes:
        name: Its name.
        calls: How often it ran.
        seconds: Its own time, without that of the operators it calls.
    """

    name: str
    calls: int
    seconds: float


@dataclass(frozen=True)
class Profile:
    """What was measured of a few steps of training.

    Attributes:
        trace: The file of the trace.
        device: The device.
        timed: Steps by the clock.
        seconds: Wall time of these.
        stages: Seconds of each stage in these, in the order in which they first ran; the rest of `seconds` is
            the loop itself, its log and its progress.
        traced: Steps in the trace.
        operators: All operators in the trace, the most expensive first; on a GPU, kernels.
    """

    trace: Path
    device: str
    timed: int
    seconds: float
    stages: dict[str, float]
    traced: int
    operators: tuple[Operator, ...]


class Stages:
    """Is told which stage of training is running; this one ignores it."""

    def step(self) -> AbstractContextManager[object]:
        """One step, from fetching its batch to its optimiser step and its messages."""
        return nullcontext()

    def stage(self, name: str) -> AbstractContextManager[object]:
        """One stage of a step; stages are not nested.

        Args:
            name: "data", "embed", "encode", "transition", "loss", "backward", "optimiser"; "forward" for all
                from "embed" to "loss" where they are compiled into one; "graph" for a whole step that is one.
        """
        del name
        return nullcontext()

    def close(self) -> None:
        """Training has ended, or was interrupted."""


class StepProfiler(Stages):
    """Measures a few steps after some warm-up steps, and changes nothing about them.

    First the stages are timed; on a GPU each is waited for, so that the clock sees what it costs. Then some
    more steps are traced as they run, with nothing waited for.

    Args:
        folder: Where the trace goes.
        device: What is trained on.
        done: Called with the profile as soon as there is one.
    """

    def __init__(self, folder: Path, device: torch.device, done: Callable[[Profile], None]) -> None:
        self._folder = folder
        self._device = device
        self._done = done
        self._steps = 0
        self._seconds = 0.0
        self._stages: dict[str, float] = {}
        activities = [ProfilerActivity.CPU]
        if device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        # Otherwise it reports on stderr when it starts and stops.
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        self._tracer = profile(activities=activities)
        self._tracing = False

    @contextmanager
    def step(self) -> Iterator[None]:
        """See `Stages.step`."""
        if self._steps == WARM_UP + TIMED:
            self._tracer.start()
            self._tracing = True
        if self._timing:
            self._wait()
            began = time.perf_counter()
            yield
            self._seconds += time.perf_counter() - began
        elif self._tracing:
            with record_function("step"):
                yield
        else:
            yield
        self._steps += 1
        if self._steps == WARM_UP + TIMED + TRACED:
            self._finish()

    def stage(self, name: str) -> AbstractContextManager[object]:
        """See `Stages.stage`."""
        if self._timing:
            return self._timed(name)
        return record_function(name) if self._tracing else nullcontext()

    def close(self) -> None:
        """Abandons a trace that is not complete."""
        if self._tracing:
            self._tracer.stop()
            self._tracing = False

    @property
    def finished(self) -> bool:
        """Whether the profile is complete."""
        return self._steps >= WARM_UP + TIMED + TRACED

    @property
    def shortfall(self) -> str:
        """Why there is no profile, if there is none."""
        if self._steps == 0:
            return "it is trained already; --force trains it anew"
        return f"it takes {WARM_UP + TIMED + TRACED} steps, and training ended after {self._steps}"

    @property
    def _timing(self) -> bool:
        return WARM_UP <= self._steps < WARM_UP + TIMED

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._wait()
        self._stages[name] = self._stages.get(name, 0.0) + time.perf_counter() - began

    def _finish(self) -> None:
        """Writes the trace and hands over the profile."""
        self._wait()
        self.close()
        path = self._folder / TRACE_NAME
        write_atomically(path, self._write_trace)
        self._done(
            Profile(
                trace=path,
                device=device_name(self._device),
                timed=TIMED,
                seconds=self._seconds,
                stages=self._stages,
                traced=TRACED,
                operators=tuple(self._operators()),
            )
        )

    def _write_trace(self, path: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "profile.json"
            self._tracer.export_chrome_trace(str(raw))
            with raw.open("rb") as source, gzip.open(path, "wb") as target:
                shutil.copyfileobj(source, target)

    def _operators(self) -> list[Operator]:
        """What ran in the trace, except the ranges named here, the most expensive first."""
        on_gpu = self._device.type == "cuda"
        named = {"step", *self._stages}
        operators = [
            Operator(
                event.key,
                event.count,
                (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6,
            )
            for event in self._tracer.key_averages()
            if event.key not in named and (event.device_type.name == "CUDA") == on_gpu
        ]
        return sorted(operators, key=lambda operator: operator.seconds, reverse=True)
