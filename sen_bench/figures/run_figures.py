"""Pictures of a trained run: its learning curve, its latent space, and what a decoder sees in its latents."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sen_bench.baselines import Decoder, GenerativeModel, WorldModel
from sen_bench.data import Transitions, first_frames, shown_frames
from sen_bench.errors import DatasetError, SenBenchWarning
from sen_bench.figures.choices import DECODER_EPOCHS, DECODER_FRAMES, Format
from sen_bench.figures.curve import draw_learning_curve
from sen_bench.figures.irreps import point_group
from sen_bench.figures.latent_space import draw_latents
from sen_bench.figures.latents import CHUNK, encode, encode_transitions, inference
from sen_bench.figures.reconstructions import draw_reconstructions
from sen_bench.figures.style import save_figure, style
from sen_bench.runs import Run, RunFolder, trained_model
from sen_bench.store import Dataset
from sen_bench.symmetry import SO3, Group, element_label
from sen_bench.system import Progress, check_output
from sen_bench.training import (
    LOSS_TERMS,
    METRICS_FILE,
    Checkpoint,
    read_metrics,
    train_decoder,
    weights_digest,
)

#: The most rows of reconstructions, and the most episodes over which errors are averaged.
_ROWS, _EPISODES = 6, 1000


@dataclass(frozen=True)
class Decoded:
    """The result of decoding a run.

    Attributes:
        paths: The files written.
        epochs: Epochs of the decoder.
        seconds: Wall time of its training.
        reconstruction_error: Mean squared error of a pixel in [0, 1] between first frames of the eval split
            and what the decoder makes of their latents.
        twin_error: The same between the twins' frames and what it makes of the transformed latents; None
            where the group does not act on the latents.
    """

    paths: list[Path]
    epochs: int
    seconds: float
    reconstruction_error: float
    twin_error: float | None


def draw_figures(run: Run, out: Path, formats: Sequence[Format]) -> list[Path]:
    """Draws the learning curve and the latent space of a run that is trained to the end.

    Returns:
        The files written.

    Raises:
        SenBenchError: As raised by `trained_model`, or if a file cannot be written; nothing is drawn then.
    """
    check_output(out, folder=True)
    model, checkpoint = trained_model(run)
    dataset = run.data.open("eval")
    title = _title(run, checkpoint)
    lines, remark = read_metrics(run.folder / METRICS_FILE, LOSS_TERMS, until=checkpoint)
    if remark:
        warnings.warn(remark, SenBenchWarning, stacklevel=2)
    with style():
        hinge = None if isinstance(model, GenerativeModel) else run.config.training.hinge
        curve = draw_learning_curve(lines, title=title, hinge=hinge)
        latents = draw_latents(model, dataset, run.device, title=title, narrow=_narrow(run))
        return [
            *_save(curve, out / "learning-curve", formats),
            *_save(latents, out / "latents", formats),
        ]


def decode(
    run: Run,
    out: Path,
    formats: Sequence[Format],
    progress: Progress,
    *,
    epochs: int = DECODER_EPOCHS,
    frames: int = DECODER_FRAMES,
    force: bool = False,
) -> Decoded:
    """Trains a decoder on the frozen latents of a run, or resumes its training, and draws what it sees.

    Args:
        run: A run that is trained to the end.
        out: The folder of the figure.
        formats: The file formats to write.
        progress: Shows how it goes.
        epochs: Passes of the decoder over its frames.
        frames: The most frames of the training split it learns from, drawn by the seed of the run.
        force: Whether to move an existing decoder aside and start over.

    Raises:
        SenBenchError: As raised by `trained_model` and `train_decoder`, or if the figure cannot be written;
            nothing is trained then.
    """
    check_output(out, folder=True)
    model, checkpoint = trained_model(run)
    shown = run.data.open("eval")
    if not shown.has_twin:
        raise DatasetError(f"{shown.path} has no twins to compare decoded latents with")
    dataset = run.open_train_data()
    transitions = Transitions.drawn(dataset, run.device, frames, seed=run.seed)
    with progress.work(f"encode {run.name}", "frames") as advance:
        latents = encode_transitions(model, transitions, narrow=_narrow(run), advance=advance)
    place = RunFolder(run.folder / "decoder", f"the decoder of {run.name}")
    with place.alone(), progress.training(f"decoder of {run.name}"):
        if force:
            place.move_aside(progress)
        result = train_decoder(
            latents,
            transitions,
            epochs=epochs,
            seed=run.seed,
            folder=place.path,
            identity={
                **run.identity(dataset.content_digest),
                "weights": weights_digest(model)[:16],
                "frames": str(len(transitions)),
            },
            progress=progress,
        )
    pictures = _decode_twins(model, result.decoder, shown, run)
    with style():
        figure = draw_reconstructions(
            pictures.columns, pictures.rows, title=_title(run, checkpoint) + pictures.remark
        )
        paths = _save(figure, out / "reconstructions", formats)
    return Decoded(paths, result.epochs, result.seconds, pictures.errors[0], pictures.errors[1])


@dataclass(frozen=True)
class _Pictures:
    """Images to draw, and errors over more of them."""

    columns: dict[str, NDArray[np.float64]]
    rows: list[str]
    errors: tuple[float, float | None]
    remark: str


def _decode_twins(model: WorldModel, decoder: Decoder, dataset: Dataset, run: Run) -> _Pictures:
    """Decodes latents of first frames as they are, and as the group transforms them."""
    count = _EPISODES
    frames, twins = (first_frames(dataset, name, count) for name in ("observation", "twin/observation"))
    elements = dataset.read("twin/element", 0, count)
    rows = distinct_elements(elements, _ROWS)
    kept: dict[str, list[NDArray[np.float64]]] = {}
    squares: dict[str, float] = {}
    with inference(run.device, _narrow(run)):
        for begin in range(0, len(frames), CHUNK):
            chunk = slice(begin, begin + CHUNK)
            true, twin = (shown_frames(x[chunk]).to(run.device) for x in (frames, twins))
            latent = encode(model, true)
            images = {"frame": true, "decoded z": decoder(latent)}
            errors = {"decoded z": (images["decoded z"] - true).square()}
            if model.equivariant:
                element = torch.from_numpy(elements[chunk]).to(run.device)
                moved = decoder(model.transform_latent(element, latent))
                images |= {"twin frame": twin, "decoded ρ(g) z": moved}
                errors["decoded ρ(g) z"] = (moved - twin).square()
            for name, error in errors.items():
                squares[name] = squares.get(name, 0.0) + float(error.double().mean()) * len(true)
            inside = [row - begin for row in sorted(rows) if begin <= row < begin + CHUNK]
            for name, image in images.items():
                # Of several frames shown at once, the last.
                last = image[inside, -(image.shape[1] // dataset.frame_stack) :].permute(0, 2, 3, 1)
                kept.setdefault(name, []).append(last.double().clamp(0, 1).cpu().numpy())
    means = {name: total / len(frames) for name, total in squares.items()}
    group = dataset.symmetry.group
    # Chunks are in the order of episodes, rows in that of elements.
    order = np.searchsorted(np.sort(rows), rows)
    return _Pictures(
        columns={name: np.concatenate(images)[order] for name, images in kept.items()},
        rows=[_element_text(group, elements[row]) if model.equivariant else f"episode {row}" for row in rows],
        errors=(means["decoded z"], means.get("decoded ρ(g) z")),
        remark="" if model.equivariant else "\nthe group does not act on the latents of this model",
    )


def distinct_elements(elements: NDArray[np.generic], count: int) -> list[int]:
    """The first episodes whose twins have different elements, at most ``count``, in the order of elements.

    Args:
        elements: ``[N]`` or ``[N, 3, 3]``.
        count: The most to return.
    """
    flat = elements.reshape(len(elements), -1)
    _, first = np.unique(flat, axis=0, return_index=True)
    chosen = np.sort(first)[:count]
    if elements.ndim == 1:
        chosen = chosen[np.argsort(elements[chosen])]
    return [int(k) for k in chosen]


def _element_text(group: Group | SO3, element: NDArray[Any]) -> str:
    """An element as printed: a turn in a product by its own name, a rotation in two lines."""
    if isinstance(group, SO3):
        return "g = " + element_label(group, element).replace(" about ", "\nabout ")
    points = point_group(group)
    if points is not None and element in points.elements:
        name = points.group.element_name(int(np.flatnonzero(points.elements == element)[0]))
    else:
        name = element_label(group, element)
    return f"g = ${name}$"


def _narrow(run: Run) -> torch.dtype | None:
    return torch.bfloat16 if run.config.training.precision == "bfloat16" else None


def _title(run: Run, checkpoint: Checkpoint) -> str:
    parts = [run.task.title, run.config.model, f"preset {run.preset.name}", f"seed {run.seed}"]
    if run.config.train_split != "train":
        parts.insert(1, f"trained on {run.config.train_split}")
    return ", ".join([*parts, *(["COLLAPSED: all latents are equal"] if checkpoint.collapsed else [])])


def _save(figure: Figure, path: Path, formats: Sequence[Format]) -> list[Path]:
    paths = [path.with_name(f"{path.name}.{kind}") for kind in formats]
    for target, kind in zip(paths, formats, strict=True):
        save_figure(figure, target, kind)
    return paths
