"""Addresses on the Hugging Face Hub, "hf://datasets/owner/name@revision/path", as its own library has them.

They are read through the HTTPS addresses of the hub, so that everything that protects from broken and hostile
servers protects here too. `huggingface_hub` is not needed for it; where it is installed, it knows the token.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote, unquote

from sen_bench.errors import DatasetError
from sen_bench.system import shown

ENDPOINT_VARIABLE: Final = "HF_ENDPOINT"
"""Environment variable with the address of another hub, such as one of a company."""

TOKEN_VARIABLE: Final = "HF_TOKEN"  # noqa: S105 — the name of a variable
"""Environment variable with the token for private datasets."""

_SCHEME: Final = "hf://"
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
# Of revisions with slashes only those that the hub makes itself are written as they are, others with %2F.
_REVISION: Final = r"refs/(?:pr|convert)/[^/@]+|[^/@]+"
_PART: Final = r"(?!\.{1,2}(?:/|$))[^/]+"
_ADDRESS: Final = re.compile(
    r"hf://(?P<folder>datasets/|models/)?"
    rf"(?P<repository>(?!datasets/|models/|spaces/){_NAME}/{_NAME})"
    rf"(?:@(?P<revision>{_REVISION}))?"
    rf"(?:/(?P<path>{_PART}(?:/{_PART})*))?",
    re.IGNORECASE,
)


def is_hub(url: str) -> bool:
    """Whether a URL is one of the hub."""
    return url.lower().startswith(_SCHEME)


def hub_endpoint() -> str:
    """The address of the hub, HF_ENDPOINT or https://huggingface.co."""
    return (os.environ.get(ENDPOINT_VARIABLE) or "https://huggingface.co").rstrip("/")


def hub_token() -> str | None:
    """The token of whoever is logged in to the hub: HF_TOKEN, or what `hf auth login` left; None: nobody."""
    try:
        from huggingface_hub import get_token  # noqa: PLC0415 — an optional package
    except ImportError:
        return os.environ.get(TOKEN_VARIABLE, "").strip() or None
    return get_token()


@dataclass(frozen=True)
class HubAddress:
    """A place in a repository of the hub.

    Attributes:
        kind: "dataset" or "model".
        repository: Its owner and name: "owner/name".
        revision: A branch, tag or commit; None: the main branch.
        path: The path in it, "" for all of it.
    """

    kind: str
    repository: str
    revision: str | None
    path: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Takes a URL apart: "hf://datasets/OWNER/NAME[@REVISION][/PATH]", of models without "datasets/".

        Raises:
            DatasetError: It has another form.
        """
        match = _ADDRESS.fullmatch(url.strip("/"))
        if match is None:
            raise DatasetError(
                f"{shown(url)} is no address of the hub; write hf://datasets/OWNER/NAME/PATH, or"
                " hf://datasets/OWNER/NAME@REVISION/PATH"
            )
        kind = "dataset" if match["folder"] == "datasets/" else "model"
        revision = None if match["revision"] is None else unquote(match["revision"])
        return cls(kind, match["repository"], revision, match["path"] or "")

    @property
    def page(self) -> str:
        """The page of the repository, for people."""
        return f"{hub_endpoint()}/{self._folder}{self.repository}"

    @property
    def resolved(self) -> str:
        """Where its files are read over HTTPS."""
        address = f"{self.page}/resolve/{quote(self.revision or 'main', safe='')}"
        return f"{address}/{quote(self.path)}" if self.path else address

    def __str__(self) -> str:
        revision = "" if self.revision is None else f"@{quote(self.revision, safe='')}"
        path = f"/{self.path}" if self.path else ""
        return f"{_SCHEME}{self._folder}{self.repository}{revision}{path}"

    @property
    def _folder(self) -> str:
        return "datasets/" if self.kind == "dataset" else ""
