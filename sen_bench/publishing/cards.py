"""The cards of publications: README.md with the front matter that the Hugging Face Hub reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sen_bench.publishing.information import PublicationInfo
from sen_bench.results import RunRow
from sen_bench.runs import Run
from sen_bench.store import Dataset
from sen_bench.system import number_of

_TAGS = ("equivariance", "world-models", "symmetry", "sen-bench")
# Upper ends of the hub's size categories.
_SIZES = {"n<1K": 10**3, "1K<n<10K": 10**4, "10K<n<100K": 10**5, "100K<n<1M": 10**6, "1M<n<10M": 10**7}


@dataclass(frozen=True)
class PublishedRun:
    """A run that is published.

    Attributes:
        run: The run.
        parameters: How many its model has.
        epochs: Epochs that it was trained for.
        dataset: Content digest of what it was trained on.
        rows: Its rows in the table of runs, one for each horizon; none if they are not known.
    """

    run: Run
    parameters: int
    epochs: int
    dataset: str
    rows: Sequence[RunRow]


def dataset_card(
    datasets: Mapping[str, Dataset], name: str, description: str, info: PublicationInfo, address: str | None
) -> str:
    """The card of datasets.

    Args:
        datasets: Place in the folder -> dataset.
        name: What the publication is called.
        description: What it is.
        info: What the publisher says.
        address: Where it will be, "hf://datasets/owner/name"; None: that is not known.
    """
    frames = sum(data.episodes * (data.horizon + 1) for data in datasets.values())
    tasks = sorted({data.task for data in datasets.values()})
    matter = {
        **info.license_entry,
        "pretty_name": info.title or name,
        "tags": list(dict.fromkeys([*_TAGS, "zarr", *tasks, *info.keywords])),
        "task_categories": ["reinforcement-learning"],
        "size_categories": [next((key for key, end in _SIZES.items() if frames < end), "10M<n<100M")],
        "annotations_creators": ["machine-generated"],
        "source_datasets": ["original"],
        "viewer": False,
    }
    rows = [
        (
            f"`{place}`",
            data.world_id.rpartition("/")[2],
            data.symmetry.group.name,
            f"{data.episodes:,} × {number_of(data.horizon, 'step')}",
            "yes" if any(array.startswith("twin/") for array in data.arrays) else "no",
            f"{data.manifest.stored_bytes / 1e6:,.1f} MB",
            f"`{data.content_digest[:16]}…`",
        )
        for place, data in datasets.items()
    ]
    heads = ("dataset", "world", "group", "episodes", "twins", "size", "content digest")
    first = next(iter(datasets))
    where = address or "FOLDER"
    body = [
        f"# {info.title or name}",
        description,
        _table(heads, rows),
        "## Reading it",
        (
            "Each dataset is a Zarr v3 group, which any reader of Zarr opens. With"
            " `pip install 'sen-bench[remote]'`:"
        ),
        _fenced("python", f'import sen_bench as sb\n\ndata = sb.open_dataset("{where}/{first}")'),
        (
            f"`sen-bench verify {where}/{first}` checks every file and the annotation of the symmetry;"
            " `sha256sum --check SHA256SUMS` does so for the files of all of them. `croissant.json` describes"
            " them for machines."
        ),
        "## How it was made",
        (
            "By `sen-bench generate`. The attributes of each dataset have its recipe, from which it can be"
            " generated again: `sen-bench verify … --regenerate 20` compares a few episodes."
        ),
        *_signature(info),
    ]
    return _card(matter, body)


def model_card(
    runs: Mapping[str, PublishedRun], name: str, info: PublicationInfo, address: str | None
) -> str:
    """The card of trained models.

    Args:
        runs: Place in the folder -> run.
        name: What the publication is called.
        info: What the publisher says.
        address: Where it will be, "hf://owner/name"; None: that is not known.
    """
    tasks = sorted({published.run.task.name for published in runs.values()})
    matter = {
        **info.license_entry,
        "library_name": "sen-bench",
        "tags": list(dict.fromkeys([*_TAGS, *tasks, *info.keywords])),
        **({"model-index": index} if (index := _model_index(runs, name)) else {}),
    }
    trained = [
        (f"`{place}`", f"{one.parameters:,}", str(one.epochs), f"`{one.dataset[:16]}…`")
        for place, one in runs.items()
    ]
    scored = [
        (f"`{place}`", str(row.horizon), f"{100 * row.hits_at_1:.1f}", f"{100 * row.mrr:.1f}")
        for place, one in runs.items()
        for row in one.rows
    ]
    first, published = next(iter(runs.items()))
    run = published.run
    preset, _, settings = run.preset.name.partition("+")
    body = [
        f"# {info.title or name}",
        info.description or f"World models of sen-bench, trained on {', '.join(tasks)}.",
        _table(("run", "parameters", "epochs", "trained on, content digest"), trained),
        *(
            ("## Scores", "H@1 and MRR in %.", _table(("run", "steps", "H@1", "MRR"), scored))
            if scored
            else ()
        ),
        "## Using it",
        (
            f"The folders are those of `sen-bench run --runs`: with {address or 'this folder'} as `FOLDER`"
            " and the datasets in `data/`, this evaluates and does not train again:"
        ),
        _fenced(
            "console",
            f"sen-bench evaluate {run.config.task} --train-split {run.config.train_split}"
            f" --model {run.config.model} --preset {preset}{' --set …' if settings else ''}"
            f" --seeds {run.seed} --runs FOLDER",
        ),
        (
            f"`{first}/config.json` has all settings; `checkpoint.pt` is read with `weights_only=True`. A"
            " model that is not one of sen-bench's own also needs its code."
        ),
        *_signature(info),
    ]
    return _card(matter, body)


def _model_index(runs: Mapping[str, PublishedRun], name: str) -> list[dict[str, Any]]:
    """The scores as the hub's leaderboards read them."""
    results = [
        {
            "task": {"type": "reinforcement-learning", "name": f"steps ahead: {row.horizon}"},
            "dataset": {"type": row.task, "name": row.task, "split": "eval"},
            "metrics": [
                {"type": "hits_at_1", "name": f"H@1, {place}", "value": row.hits_at_1},
                {"type": "mrr", "name": f"MRR, {place}", "value": row.mrr},
            ],
        }
        for place, one in runs.items()
        for row in one.rows
    ]
    return [{"name": name, "results": results}] if results else []


def _signature(info: PublicationInfo) -> list[str]:
    """Who made it, under which licence."""
    said = {
        "Creators": ", ".join(info.creators),
        "Publisher": info.publisher,
        "Licence": info.license,
        "Published": info.date and info.date.isoformat(),
        "Page": info.url,
        "Citation": info.citation,
    }
    lines = [f"- {name}: {value}" for name, value in said.items() if value]
    return ["## Who and when", "\n".join(lines)] if lines else []


def _card(matter: Mapping[str, Any], body: Sequence[str]) -> str:
    """Front matter in the form of YAML that is JSON too, then the text."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in matter.items()]
    return "\n".join(["---", *lines, "---", "\n\n".join(body), ""])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))


def _fenced(language: str, code: str) -> str:
    return f"```{language}\n{code}\n```"
