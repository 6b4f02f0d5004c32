"""Publications on the Hugging Face Hub, by its own library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sen_bench.errors import MissingExtraError, PublishingError, SenBenchError
from sen_bench.store import HubAddress, hub_endpoint, hub_token
from sen_bench.system import Progress, shown

if TYPE_CHECKING:
    from sen_bench.publishing.publication import Publication

# Files whose large ones are sent at once: few enough that progress is seen, many enough to keep a line busy.
_AT_ONCE = 32


def upload(publication: Publication, address: HubAddress, *, private: bool, progress: Progress) -> str:
    """Uploads a publication: large files first, then one commit with everything.

    Nobody sees a part of it: until the commit the repository is as it was. A call that was interrupted is
    resumed by the same call, as the hub has the large files that arrived.

    Args:
        publication: What to upload.
        address: The repository, and its branch.
        private: Whether a repository that is made for it is private.
        progress: Is told how many files are sent.

    Returns:
        The page of the repository.

    Raises:
        MissingExtraError: huggingface_hub is not installed.
        PublishingError: The address is not that of such a repository, nobody is logged in, or the hub cannot
            be reached or refuses.
    """
    try:
        import huggingface_hub  # noqa: PLC0415 — an optional package
        from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError("uploading to hf://", "hub") from None
    if address.path or address.kind != publication.kind:
        form = "hf://datasets/OWNER/NAME" if publication.kind == "dataset" else "hf://OWNER/NAME"
        raise PublishingError(f"{address} cannot hold this; publish {publication.kind}s to {form}")
    token = hub_token()
    if token is None:
        raise PublishingError("nobody is logged in to the hub; run `hf auth login`, or set HF_TOKEN")
    api: Any = huggingface_hub.HfApi(endpoint=hub_endpoint(), token=token)
    where = {"repo_id": address.repository, "repo_type": publication.kind, "revision": address.revision}
    disable_progress_bars()
    try:
        api.create_repo(address.repository, repo_type=publication.kind, private=private, exist_ok=True)
        if address.revision is not None:
            api.create_branch(
                address.repository, repo_type=publication.kind, branch=address.revision, exist_ok=True
            )
        additions = list(_additions(publication))
        with progress.work(f"uploading to {address}", "files") as advance:
            for start in range(0, len(additions), _AT_ONCE):
                advance(start, len(additions))
                api.preupload_lfs_files(additions=additions[start : start + _AT_ONCE], **where)
            gone = [
                huggingface_hub.CommitOperationDelete(path_in_repo=name)
                for name in api.list_repo_files(**where)
                if name not in publication.files
                and name.startswith(tuple(f"{p}/" for p in publication.places))
            ]
            api.create_commit(operations=[*additions, *gone], commit_message="Publish by sen-bench", **where)
            advance(len(additions), len(additions))
    except SenBenchError:
        raise
    # Whatever it is: the library raises errors of its own, of its HTTP client, and of the file system.
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise PublishingError(
            f"{address} could not be written ({type(error).__name__}: {shown(text)}); give the same command"
            " again to go on"
        ) from error
    return address.page


def _additions(publication: Publication) -> Iterator[Any]:
    """The files, as the library takes them.

    Raises:
        PublishingError: One changed since it was checked.
    """
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415 — an optional package

    for name, file in publication.files.items():
        source = file.source if isinstance(file.source, bytes) else str(file.source)
        addition = CommitOperationAdd(path_in_repo=name, path_or_fileobj=source)
        if addition.upload_info.sha256.hex() != file.record.sha256:
            raise PublishingError(f"{name} changed while it was published")
        yield addition
