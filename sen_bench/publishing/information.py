"""What only a publisher can say, such as licence, creators, address and date."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from sen_bench.errors import ConfigError, first_problem
from sen_bench.store import HubAddress, is_hub

_SPDX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")

#: The fields of Croissant's vocabulary for responsible AI that a publisher may fill.
RAI_FIELDS: Final = (
    "annotationsPerItem", "annotatorDemographics", "dataAnnotationAnalysis", "dataAnnotationPlatform",
    "dataAnnotationProtocol", "dataBiases", "dataCollection", "dataCollectionMissingData",
    "dataCollectionRawData", "dataCollectionType", "dataImputationProtocol",
    "dataLimitations", "dataManipulationProtocol", "dataPreprocessingProtocol", "dataReleaseMaintenancePlan",
    "dataSocialImpact", "dataUseCases", "machineAnnotationTools", "personalSensitiveInformation",
)  # fmt: skip


class PublicationInfo(BaseModel):
    """What the publisher says.

    Attributes:
        name: What the publication is called, in cards and metadata.
        title: The heading of the card; the name, if it is not given.
        description: What it is; a description from the metadata, if it is not given.
        license: An SPDX identifier, such as "CC-BY-4.0", or a URL.
        creators: The people who made it.
        publisher: The organisation that publishes it.
        url: Its page.
        date: The day it was published, "2026-11-29".
        version: Its version, such as "1.0.0"; the generator's, if it is not given.
        citation: How to cite it; the paper of the benchmark, if it is not given.
        keywords: Words to find it by, beside those from the metadata.
        rai: Fields of Croissant's vocabulary for responsible AI, instead of what the metadata says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str | None = None
    title: str | None = None
    description: str | None = None
    license: str | None = None
    creators: list[str] = []
    publisher: str | None = None
    url: str | None = None
    date: dt.date | None = None
    version: str | None = None
    citation: str | None = None
    keywords: list[str] = []
    rai: dict[str, str] = {}

    @classmethod
    def read(cls, path: Path | None, given: Mapping[str, Any]) -> Self:
        """Reads what a TOML file says, and what is given beside it.

        Args:
            path: The file; None: there is none.
            given: What holds instead of what the file says; None values and empty ones say nothing.

        Raises:
            ConfigError: It cannot be read, or a value cannot be used.
        """
        said: dict[str, Any] = {}
        if path is not None:
            try:
                said = tomllib.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise ConfigError(f"{path} cannot be read: {error}") from error
        said |= {name: value for name, value in given.items() if value}
        try:
            if isinstance(said.get("date"), str):
                said["date"] = dt.date.fromisoformat(said["date"])
            info = cls.model_validate(said)
        except ValidationError as error:
            raise ConfigError(f"{path or 'options'}: {first_problem(error)}") from error
        except ValueError:
            raise ConfigError(f"date {said['date']!r}: write a day, such as 2026-11-29") from None
        if unknown := sorted(set(info.rai) - set(RAI_FIELDS)):
            raise ConfigError(f"rai.{unknown[0]} is none of the fields {', '.join(RAI_FIELDS)}")
        return info

    def at(self, target: str) -> Self:
        """The same, with the page of the repository as its address where none is given.

        Raises:
            DatasetError: The target begins as an address of the hub, and is none.
        """
        if self.url is None and is_hub(target):
            return self.model_copy(update={"url": HubAddress.parse(target).page})
        return self

    @property
    def missing(self) -> list[str]:
        """What nobody said though venues such as NeurIPS ask for it, with the options that say it."""
        values = {"license": self.license, "creator": self.creators, "url": self.url, "date": self.date}
        return [f"--{name}" for name, value in values.items() if not value]

    @property
    def license_url(self) -> str | None:
        """The licence as a URL."""
        if self.license is None or not _SPDX.fullmatch(self.license):
            return self.license
        return f"https://spdx.org/licenses/{self.license}.html"

    @property
    def license_entry(self) -> dict[str, str]:
        """The licence as the hub's cards have it, which know some by their names in lower case."""
        if self.license is None:
            return {}
        if self.license.lower() in _OF_THE_HUB:
            return {"license": self.license.lower()}
        return {"license": "other", "license_name": self.license, "license_link": self.license_url or ""}


# Licences for data and weights that the hub knows by name.
_OF_THE_HUB: Final = frozenset(
    (
        "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
        "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0", "cc-by-3.0", "cc-by-sa-3.0",
        "odc-by", "odbl", "pddl", "gpl-3.0", "lgpl-3.0", "mpl-2.0", "unlicense",
    )
)  # fmt: skip
