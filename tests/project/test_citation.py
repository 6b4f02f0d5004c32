"""CITATION.cff is in the Citation File Format 1.2.0, and says what the rest of the repository says."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError

from sen_bench import __version__
from tests.paths import ROOT


class _Part(BaseModel):
    """Of the format, what this repository uses: a key that is not of it is refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=lambda name: name.replace("_", "-"))


class _Entity(_Part):
    name: str = Field(min_length=1)


class _Person(_Part):
    given_names: str = Field(min_length=1)
    family_names: str = Field(min_length=1)
    name_particle: str = ""


class _Identifier(_Part):
    type: Literal["doi", "url", "swh", "other"]
    value: str


class _Reference(_Part):
    type: Literal["conference-paper"]
    title: str = Field(min_length=1)
    authors: list[_Person | _Entity] = Field(min_length=1)
    collection_title: str
    conference: _Entity
    year: int
    identifiers: list[_Identifier]
    url: HttpUrl


class _Citation(_Part):
    cff_version: Literal["1.2.0"]
    type: Literal["software", "dataset"]
    message: str = Field(min_length=1)
    title: str = Field(min_length=1)
    abstract: str
    version: str
    license: str
    keywords: list[str] = Field(min_length=1)
    authors: list[_Person | _Entity] = Field(min_length=1)
    preferred_citation: _Reference


def _text() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return loaded


def test_it_is_of_this_version_and_license() -> None:
    citation = _Citation.model_validate(_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation.version == __version__
    assert citation.license == project["license"]
    assert [author.name for author in citation.authors if isinstance(author, _Entity)] == [
        author["name"] for author in project["authors"]
    ]
    assert set(citation.keywords) <= set(project["keywords"])


def test_it_cites_the_paper_as_the_readme_does() -> None:
    paper = _Citation.model_validate(_text()).preferred_citation
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    entry = dict(re.findall(r"^  (\w+) += \{(.*)\},?$", readme, re.MULTILINE))
    people = [person for person in paper.authors if isinstance(person, _Person)]
    names = [f"{p.name_particle} {p.family_names}".strip() + f", {p.given_names}" for p in people]
    assert entry["author"].split(" and ") == names
    assert entry["title"] == paper.title
    assert entry["booktitle"] == paper.collection_title == paper.conference.name
    assert entry["year"] == str(paper.year)
    assert str(paper.url) in readme


@pytest.mark.parametrize("key", ["message", "authors", "preferred-citation"])
def test_a_key_that_is_missing_or_misspelled_is_found(key: str) -> None:
    text = _text()
    value = text.pop(key)
    with pytest.raises(ValidationError, match="Field required"):
        _Citation.model_validate(text)
    with pytest.raises(ValidationError, match="Extra inputs"):
        _Citation.model_validate({**text, key: value, f"{key}s": value})
