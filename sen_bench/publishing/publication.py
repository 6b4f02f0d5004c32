"""What is published: files with their digests, of datasets or runs, with a card and metadata for them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch

from sen_bench.baselines import parameter_count
from sen_bench.checks import verify
from sen_bench.errors import CheckpointError, PublishingError
from sen_bench.publishing.cards import PublishedRun, dataset_card, model_card
from sen_bench.publishing.croissant_file import describe_publication
from sen_bench.publishing.folder import write_folder
from sen_bench.publishing.information import PublicationInfo
from sen_bench.publishing.upload import upload
from sen_bench.results import ResultsFolder, RunRow, append_rows, read_run_rows
from sen_bench.runs import Run, model_so_far, open_run
from sen_bench.store import (
    CROISSANT,
    MANIFEST,
    Dataset,
    FileRecord,
    HubAddress,
    is_hub,
    is_url,
    open_dataset,
)
from sen_bench.system import QUIET, Progress, number_of, settings_restored
from sen_bench.training import CHECKPOINT_FILE, METRICS_FILE

#: The checksums of all files but this one, as `sha256sum --check` reads them; written last.
CHECKSUMS: Final = "SHA256SUMS"
_CARD: Final = "README.md"
_OF_A_RUN: Final = ("config.json", CHECKPOINT_FILE, METRICS_FILE)


@dataclass(frozen=True)
class PublishedFile:
    """A file of a publication.

    Attributes:
        source: Where it is now, or what is in it.
        record: Its size and sha256.
    """

    source: Path | bytes
    record: FileRecord

    @classmethod
    def of(cls, data: bytes) -> PublishedFile:
        """A file that is made for the publication."""
        return cls(data, FileRecord.of(data))


@dataclass(frozen=True)
class Publication:
    """What is published.

    Attributes:
        kind: "dataset" or "model", as the hub tells repositories apart.
        files: Path in the folder -> file.
        places: The folders in it that are replaced as a whole when it is published again.
    """

    kind: Literal["dataset", "model"]
    files: Mapping[str, PublishedFile]
    places: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.record.size for file in self.files.values())


def publish(
    sources: Sequence[Path | str],
    target: str,
    info: PublicationInfo,
    *,
    results: Path = Path("results"),
    private: bool = False,
    force: bool = False,
    progress: Progress = QUIET,
) -> str:
    """Publishes datasets or runs: in a folder of this machine, or in a repository of the Hugging Face Hub.

    A folder is there when it is whole, not before. On the hub everything appears in one commit; what had
    arrived when an upload broke off is not sent again.

    Args:
        sources: Datasets, as folders or URLs; or folders of runs.
        target: A folder, or "hf://datasets/OWNER/NAME", for runs "hf://OWNER/NAME", also with "@BRANCH".
        info: What the publisher says.
        results: The folder of the result tables, where scores of runs are looked for.
        private: Whether a repository that is made for it is private.
        force: Move an existing folder aside.
        progress: Is told how it goes.

    Returns:
        Where it is: the folder, or the page of the repository.

    Raises:
        PublishingError: What is to be published does not fit together, or cannot be put there.
        DatasetError: A dataset is broken.
        CheckpointError: A folder is no run, or its training has not ended.
        MissingExtraError: The packages for uploading are not installed.
    """
    address = HubAddress.parse(target) if is_hub(target) else None
    if address is None and is_url(target):
        raise PublishingError(f"{target}: publish to a folder, or to hf://…")
    publication = make_publication(sources, info, target=target, results=results, progress=progress)
    if address is None:
        return str(write_folder(publication, Path(target), force=force, progress=progress))
    return upload(publication, address, private=private, progress=progress)


def make_publication(
    sources: Sequence[Path | str],
    info: PublicationInfo,
    *,
    target: str,
    results: Path = Path("results"),
    progress: Progress = QUIET,
) -> Publication:
    """Puts together what is published, and checks all of it.

    Args:
        sources: As for `publish`.
        info: As for `publish`.
        target: Where it will be, which cards name, and whose last part is its name.
        results: As for `publish`.
        progress: Is told what is checked.

    Raises:
        PublishingError: There is nothing, datasets and runs are mixed, or two are of the same name.
        DatasetError: A dataset is broken.
        CheckpointError: A folder is no run, or its training has not ended.
    """
    runs = [Path(source) for source in sources if (Path(source) / "config.json").is_file()]
    if not sources or 0 < len(runs) < len(sources):
        raise PublishingError("give datasets or runs, not both: the hub has repositories of either kind")
    address = HubAddress.parse(target) if is_hub(target) else None
    where = None if address is None else str(address)
    name = info.name or (address.repository.rpartition("/")[2] if address else Path(target).absolute().name)
    if runs:
        return _of_runs(runs, name, info, where, results)
    return _of_datasets(sources, name, info, where, progress)


def _of_datasets(
    sources: Sequence[Path | str], name: str, info: PublicationInfo, where: str | None, progress: Progress
) -> Publication:
    datasets: dict[str, Dataset] = {}
    for source in sources:
        dataset = open_dataset(source, progress=progress)
        dataset.fetch()
        # Before its names are used: they may come from a stranger's URL.
        dataset = verify(dataset.path, progress=progress).dataset
        place = f"{dataset.task.replace(':', '-')}/{dataset.split}.zarr"
        if place in datasets:
            raise PublishingError(
                f"{source} and {datasets[place].place} are both {place}; publish one of them"
            )
        datasets[place] = dataset
    files = {
        f"{place}/{file}": PublishedFile(dataset.path / file, record)
        for place, dataset in datasets.items()
        for file, record in dataset.manifest.files.items()
    }
    for place, dataset in datasets.items():
        files[f"{place}/{MANIFEST}"] = PublishedFile.of((dataset.path / MANIFEST).read_bytes())
    tasks = sorted({dataset.task for dataset in datasets.values()})
    description = info.description or (
        f"Episodes of {', '.join(tasks)}, generated by sen-bench, with the symmetry group that acts on them"
        " and, for evaluation, their transformed twins."
    )
    croissant = json.dumps(describe_publication(datasets, name, description, info), indent=2) + "\n"
    files[CROISSANT] = PublishedFile.of(croissant.encode())
    files[_CARD] = PublishedFile.of(dataset_card(datasets, name, description, info, where).encode())
    return _sealed("dataset", files, tuple(datasets))


def _of_runs(
    folders: Sequence[Path], name: str, info: PublicationInfo, where: str | None, results: Path
) -> Publication:
    runs: dict[str, PublishedRun] = {}
    files: dict[str, PublishedFile] = {}
    table = ResultsFolder(results).runs_csv
    known = read_run_rows(table) if table.exists() else []
    for folder in folders:
        run = open_run(folder, data=Path("data"), device=torch.device("cpu"))
        if run.name in runs:
            raise PublishingError(f"{folder} and {runs[run.name].run.folder} are the same run; publish one")
        runs[run.name] = _finished(run, known)
        for file in _OF_A_RUN:
            files[f"{run.name}/{file}"] = PublishedFile.of((folder / file).read_bytes())
    rows = [row for published in runs.values() for row in published.rows]
    files |= {file: PublishedFile.of(data) for file, data in _table_of(rows)}
    files[_CARD] = PublishedFile.of(model_card(runs, name, info, where).encode())
    return _sealed("model", files, tuple(runs))


@settings_restored()
def _finished(run: Run, known: Sequence[RunRow]) -> PublishedRun:
    """A run, whose training must have ended, with its rows.

    Raises:
        CheckpointError: It has not.
    """
    model, checkpoint = model_so_far(run)
    epochs = run.config.training.epochs
    if checkpoint.epoch < epochs and not checkpoint.stopped:
        raise CheckpointError(
            f"{run.name} is trained for {checkpoint.epoch} of {number_of(epochs, 'epoch')}; train it to the"
            " end first"
        )
    trained_on = checkpoint.identity["dataset"]
    rows = [
        row
        for row in known
        if row.run_id == run.name
        and row.config_digest == f"sha256:{run.config.digest}"
        and row.train_dataset_digest == f"sha256:{trained_on}"
    ]
    return PublishedRun(run, parameter_count(model), checkpoint.epoch, trained_on, rows)


def _table_of(rows: Sequence[RunRow]) -> Iterator[tuple[str, bytes]]:
    """The table of runs with these rows alone, and its digest; nothing if there are none."""
    if not rows:
        return
    with tempfile.TemporaryDirectory() as folder:
        append_rows(Path(folder) / "runs.csv", rows)
        for path in sorted(Path(folder).glob("runs.csv*")):
            if path.suffix != ".lock":
                yield path.name, path.read_bytes()


def _sealed(
    kind: Literal["dataset", "model"], files: dict[str, PublishedFile], places: tuple[str, ...]
) -> Publication:
    """The publication, with checksums."""
    lines = [f"{file.record.sha256}  {name}\n" for name, file in sorted(files.items())]
    return Publication(kind, {**files, CHECKSUMS: PublishedFile.of("".join(lines).encode())}, places)
