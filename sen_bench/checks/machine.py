"""Which parts of sen-bench work on this machine, found out by trying them, and what to install for the rest.

Whatever could crash a process (OpenGL, compiled packages) is tried in a process of its own.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sen_bench._version import __version__
from sen_bench.errors import SenBenchError
from sen_bench.system import QUIET, InterruptiblePool, Progress, processor

State = Literal["works", "missing", "broken", "fact"]

# Seconds after which a trial is abandoned. The first use of a world compiles its kernels, which takes a while
# on a busy machine.
_PATIENCE = 300
# Trials at the same time; each is a process that may import PyTorch.
_AT_ONCE = 2
# Exit code of a trial whose part is missing.
_ABSENT = 3
# Bytes of all datasets at the paper's sizes (docs/datasets.md), with some room.
_ALL_DATASETS = 2_000_000_000

_PACKAGES = (
    "torch", "numpy", "zarr", "numcodecs", "numba", "gymnasium", "mujoco", "e2cnn", "e3nn", "pandas",
    "matplotlib", "fsspec", "h5py", "distributed", "dask-jobqueue", "aiohttp", "pybullet", "huggingface-hub",
    "tensorboard", "wandb", "trackio", "mlflow-skinny",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        section: "versions", "machine", "core" or "optional".
        name: What was looked at.
        state: "works", "missing" or "broken"; or "fact", if it is not something that works or not.
        detail: What was found.
        remedy: What to do about it, if anything.
    """

    section: str
    name: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Trial:
    """A part of sen-bench that is tried out.

    Args:
        section: "core" or "optional".
        name: What the part is.
        attempt: A function of a module that uses it and returns what is worth knowing. Raises if it does not
            work.
        remedy: What to do if it does not, unless the error says so itself.
        packages: Modules whose absence means that the part is not installed, and not that it is broken.
    """

    section: Literal["core", "optional"]
    name: str
    attempt: Callable[[], str]
    remedy: str
    packages: tuple[str, ...] = ()


def examine(folder: Path, progress: Progress = QUIET) -> list[Finding]:
    """Looks at everything.

    Args:
        folder: Where datasets are to be written; it need not exist.
        progress: Is told how many trials are done.
    """
    findings = [*_versions(), *_machine(folder), *_clone(Path(__file__).parents[1])]
    with (
        progress.work("looking at this machine", "trials") as advance,
        InterruptiblePool(ThreadPoolExecutor(_AT_ONCE)) as pool,
    ):
        advance(0, len(TRIALS))
        for done, finding in enumerate(pool.map(_find_out, TRIALS), start=1):
            findings.append(finding)
            advance(done, len(TRIALS))
    return findings


def core_works(findings: list[Finding]) -> bool:
    """Whether datasets can be generated and read, and models built."""
    return all(finding.state == "works" for finding in findings if finding.section == "core")


def _versions() -> Iterator[Finding]:
    python = f"{platform.python_version()} ({platform.python_implementation()}, {sys.executable})"
    yield Finding("versions", "python", "fact", python)
    yield Finding("versions", "sen-bench", "fact", __version__)
    for package in _PACKAGES:
        try:
            yield Finding("versions", package, "fact", importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Finding("versions", package, "fact", "not installed")


def _machine(folder: Path) -> Iterator[Finding]:
    yield Finding("machine", "system", "fact", platform.platform())
    name, flags = processor()
    yield Finding("machine", "processor", "fact", name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("machine", "cores", "fact", f"{cores} of {os.cpu_count()} may be used")
    if flags:
        fast = [name for name in ("avx512_bf16", "amx_bf16") if name in flags]
        yield Finding(
            "machine",
            "bfloat16",
            "fact",
            f"in hardware: {', '.join(fast)}" if fast else "not in hardware",
        )
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        yield Finding("machine", "memory", "fact", f"{memory / 1e9:.1f} GB")
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    writable = os.access(place, os.W_OK)
    yield Finding(
        "machine",
        "disk",
        "fact",
        f"{free / 1e9:.1f} GB free for {folder}" + ("" if writable else ", which cannot be written"),
        "name another folder with --data"
        if not writable
        else f"all datasets at the paper's sizes take {_ALL_DATASETS / 1e9:.0f} GB"
        if free < _ALL_DATASETS
        else "",
    )


def _clone(package: Path) -> Iterator[Finding]:
    """Says if links of a clone are none: Git writes them as small files where it may not make links."""
    links = [name for name in ("envs", "generators", "baselines") if (package / name).is_file()]
    if links:
        yield Finding(
            "core",
            "clone",
            "broken",
            f"{', '.join(f'sen_bench/{name}' for name in links)}: a file where Git should have made a link",
            "git config core.symlinks true, then git checkout -- sen_bench (on Windows turn on developer mode"
            " before); or pip install . without -e, which needs no links",
        )


def _find_out(trial: Trial) -> Finding:
    """Tries one part in a process of its own."""
    absent = [name for name in trial.packages if importlib.util.find_spec(name) is None]
    if absent:
        return Finding(
            trial.section, trial.name, "missing", f"{', '.join(absent)} not installed", trial.remedy
        )
    function = trial.attempt.__name__
    command = (
        f"from sen_bench.checks.machine import attempt; from {trial.attempt.__module__} import {function};"
        f" attempt({function})"
    )
    try:
        done = subprocess.run(  # noqa: S603 — ourselves
            [sys.executable, "-P", "-W", "ignore", "-c", command],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(trial.section, trial.name, "broken", f"no answer within {_PATIENCE} s", trial.remedy)
    return _understood(trial, done)


def _understood(trial: Trial, done: subprocess.CompletedProcess[str]) -> Finding:
    """What became of the process of a trial."""
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return Finding(trial.section, trial.name, "works", str(json.loads(lines[-1])["detail"]))
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return Finding(trial.section, trial.name, "broken", f"the process died of {name}", trial.remedy)
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    problem, _, remedy = last.partition("\t")
    state: State = "missing" if done.returncode == _ABSENT else "broken"
    return Finding(trial.section, trial.name, state, problem, remedy or trial.remedy)


class AbsentError(SenBenchError):
    """Raised by a trial if the part is not there, which is not a fault."""


def attempt(function: Callable[[], str]) -> None:
    """Makes a trial in this process, and tells the parent the outcome on stdout and stderr."""
    try:
        detail = function()
    except SenBenchError as error:  # says itself what to do, after the problem
        problem, _, remedy = " ".join(str(error).split()).partition("; ")
        sys.stderr.write(f"\n{problem}\t{remedy}\n")
        sys.exit(_ABSENT if isinstance(error, AbsentError) else 1)
    sys.stdout.write(f"\n{json.dumps({'detail': detail})}\n")


def _try_torch() -> str:
    import torch  # noqa: PLC0415 — only this process is to need it

    layer = torch.nn.Linear(8, 8)
    layer(torch.ones(4, 8)).sum().backward()
    return f"PyTorch computes on the CPU ({torch.backends.cpu.get_cpu_capability()})"


def _try_worlds() -> str:
    import numpy as np  # noqa: PLC0415

    from sen_bench.envs import WORLDS, make_world  # noqa: PLC0415

    names = [name for name in WORLDS if name.startswith("sen_bench/")]
    for name in names:
        world = make_world(name)
        world.render_states(world.sample_state(np.random.default_rng(0)))
    return f"{', '.join(name.removeprefix('sen_bench/') for name in names)} are drawn"


def _try_datasets() -> str:
    from sen_bench.config import SplitSize  # noqa: PLC0415
    from sen_bench.generators import generate  # noqa: PLC0415
    from sen_bench.tasks import get_task  # noqa: PLC0415

    recipe = get_task("2d-shapes").recipe("eval", SplitSize(episodes=2, horizon=1))
    with tempfile.TemporaryDirectory() as folder:
        dataset = generate(recipe, Path(folder) / "eval.zarr", progress=False).dataset
        dataset.load("observation")
    return "a small one was written and read back"


def _try_e2cnn() -> str:
    import torch  # noqa: PLC0415

    from sen_bench.baselines.e2cnn_compat import SUPPORTED_VERSION, gspaces, nn, silenced  # noqa: PLC0415

    with silenced():
        space = gspaces.Rot2dOnR2(4)
        field = nn.FieldType(space, [space.regular_repr])
        layer = nn.R2Conv(field, field, kernel_size=3)
        layer(nn.GeometricTensor(torch.ones(1, field.size, 5, 5), field))
    return f"e2cnn {SUPPORTED_VERSION}, mended for NumPy 2 and SciPy 1.18, convolves"


def _try_e3nn() -> str:
    o3 = importlib.import_module("e3nn.o3")
    return f"e3nn knows SO(3): {o3.Irreps('1x0e + 1x1e').dim} dimensions of 0e + 1e"


def _try_cuda() -> str:
    import torch  # noqa: PLC0415

    if not torch.cuda.is_available():
        raise AbsentError(
            "this PyTorch sees no CUDA device; for a GPU, install the driver and a PyTorch built for it"
            " (https://pytorch.org)"
        )
    names = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        torch.ones(8, device=f"cuda:{index}").sum().item()
        names.append(f"cuda:{index} {properties.name}, {properties.total_memory / 1e9:.0f} GB")
    return "; ".join(names)


def _try_opengl() -> str:
    from sen_bench.envs import MujocoRenderer, make_world  # noqa: PLC0415

    state = make_world("sen_bench/Reacher-v0").reset(seed=0)[1]["state"]
    renderer = MujocoRenderer()
    renderer.draw(state)
    renderer.close()
    return f"MuJoCo draws Reacher by {os.environ.get('MUJOCO_GL') or 'its default OpenGL'}"


def _try_pybullet() -> str:
    from sen_bench.envs import Mesh, PybulletRenderer  # noqa: PLC0415

    PybulletRenderer(Mesh.teapot())
    return "TinyRenderer starts"


def _try_cluster() -> str:
    importlib.import_module("dask_jobqueue")
    importlib.import_module("distributed")
    sbatch = shutil.which("sbatch")
    return "Dask can be used" + (f", SLURM by {sbatch}" if sbatch else "; there is no SLURM here (no sbatch)")


def _try_hdf5() -> str:
    h5py = importlib.import_module("h5py")
    with tempfile.TemporaryDirectory() as folder, h5py.File(Path(folder) / "x.h5", "w") as file:
        file["x"] = [1.0]
    return "a file was written"


def _try_minari() -> str:
    importlib.import_module("minari.dataset.minari_storage")
    return "datasets can be written for Minari"


def _try_remote() -> str:
    importlib.import_module("aiohttp")
    return "http:// and https:// can be read"


def _try_tensorboard() -> str:
    importlib.import_module("torch.utils.tensorboard")
    return "events can be written"


def _try_wandb() -> str:
    importlib.import_module("wandb")
    return "runs can be logged"


def _try_trackio() -> str:
    importlib.import_module("trackio")
    return "runs can be logged"


def _try_mlflow() -> str:
    importlib.import_module("mlflow.tracking")
    return "runs can be logged"


def _try_hub() -> str:
    version = importlib.import_module("huggingface_hub").__version__
    return f"huggingface_hub {version} can upload what is published"


def _extra(name: str) -> str:
    return f"pip install 'sen-bench[{name}]'"


_AGAIN: Mapping[str, str] = {
    name: f"install it again: pip install --force-reinstall {name}"
    for name in ("torch", "mujoco", "e2cnn==0.2.3", "e3nn", "zarr")
}

TRIALS: tuple[Trial, ...] = (
    Trial("core", "PyTorch", _try_torch, _AGAIN["torch"]),
    Trial("core", "worlds", _try_worlds, _AGAIN["mujoco"]),
    Trial("core", "datasets", _try_datasets, _AGAIN["zarr"]),
    Trial("core", "e2cnn", _try_e2cnn, _AGAIN["e2cnn==0.2.3"]),
    Trial("core", "e3nn", _try_e3nn, _AGAIN["e3nn"]),
    Trial("optional", "GPU", _try_cuda, "install the driver, and a PyTorch built for it"),
    Trial("optional", "OpenGL", _try_opengl, "only Reacher's renderer 'mujoco' needs it; Debian: libegl1"),
    Trial("optional", "pybullet", _try_pybullet, _extra("pybullet"), ("pybullet",)),
    Trial("optional", "clusters", _try_cluster, _extra("cluster"), ("distributed", "dask_jobqueue")),
    Trial("optional", "HDF5 export", _try_hdf5, _extra("hdf5"), ("h5py",)),
    Trial("optional", "Minari export", _try_minari, _extra("minari"), ("minari", "h5py")),
    Trial("optional", "remote datasets", _try_remote, _extra("remote"), ("aiohttp",)),
    Trial("optional", "TensorBoard", _try_tensorboard, _extra("tensorboard"), ("tensorboard",)),
    Trial("optional", "wandb", _try_wandb, _extra("wandb"), ("wandb",)),
    Trial("optional", "Trackio", _try_trackio, _extra("trackio"), ("trackio",)),
    Trial("optional", "MLflow", _try_mlflow, _extra("mlflow"), ("mlflow", "sqlalchemy", "alembic")),
    Trial("optional", "Hugging Face Hub", _try_hub, _extra("hub"), ("huggingface_hub",)),
)
