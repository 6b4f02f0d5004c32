"""One Croissant description of several datasets, with what the publisher says and who may be concerned.

Each dataset has a `croissant.json` of its own, which is a part of it and depends on nothing else. This one is
made of those. The vocabularies are MLCommons': https://docs.mlcommons.org/croissant, Croissant and RAI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sen_bench.publishing.information import PublicationInfo
from sen_bench.store import CROISSANT, Dataset, parse_json, read_metadata

_RAI: Final = "http://mlcommons.org/croissant/RAI/1.0"


def describe_publication(
    datasets: Mapping[str, Dataset], name: str, description: str, info: PublicationInfo
) -> dict[str, Any]:
    """The description, as JSON-able data.

    Args:
        datasets: Place in the folder ("3d-blocks/eval.zarr") -> dataset.
        name: What the publication is called.
        description: What it is.
        info: What the publisher says.
    """
    parts = {place: parse_json(read_metadata(data.path / CROISSANT)) for place, data in datasets.items()}
    first = next(iter(parts.values()))
    keywords = [word for part in parts.values() for word in part["keywords"]]
    said = {
        "license": info.license_url,
        "creator": [{"@type": "sc:Person", "name": creator} for creator in info.creators],
        "publisher": info.publisher and {"@type": "sc:Organization", "name": info.publisher},
        "url": info.url,
        "datePublished": info.date and info.date.isoformat(),
    }
    rai = {**responsible_ai(list(datasets.values())), **info.rai}
    return {
        "@context": {**first["@context"], "prov": "http://www.w3.org/ns/prov#"},
        "@type": "sc:Dataset",
        "name": name,
        "description": description,
        "conformsTo": [first["conformsTo"], _RAI],
        "version": info.version or first["version"],
        "citeAs": info.citation or first["citeAs"],
        "keywords": list(dict.fromkeys([*keywords, *info.keywords])),
        "isLiveDataset": False,
        **{key: value for key, value in said.items() if value},
        **{f"rai:{key}": value for key, value in rai.items()},
        "rai:hasSyntheticData": True,
        "prov:wasGeneratedBy": "`sen-bench generate`, from the recipe and by the version of the generator"
        " that the attributes of each dataset name",
        "distribution": [one for place, part in parts.items() for one in _distribution(place, part)],
        "recordSet": [one for place, part in parts.items() for one in _records(place, part)],
    }


def responsible_ai(datasets: Sequence[Dataset]) -> dict[str, str]:
    """What is true of all data that sen-bench generates, in the terms of the RAI vocabulary."""
    worlds = ", ".join(sorted({data.world_id for data in datasets}))
    return {
        "dataCollection": (
            f"Nothing was collected: all episodes were simulated in the worlds {worlds}, from seeds. The"
            " recipe and the version of the generator, stored in each dataset, determine them."
        ),
        "dataCollectionType": "Software Collection",
        "dataAnnotationProtocol": (
            "Annotations are computed, not made by people: the symmetry group, its representations, the"
            " ground truth of every state, and, where there are any, twins: the same episodes transformed by"
            " an element of the group and rendered again."
        ),
        "dataBiases": (
            "First states and actions are drawn by the policy that the recipe names, uniformly unless it says"
            " otherwise. They cover what that policy reaches, not what an agent with a goal would do."
        ),
        "dataLimitations": (
            "The worlds are small and synthetic, rendered without noise, and their symmetry is exact. Results"
            " do not carry over to photographs, to robots, or to data whose symmetry is only approximate."
        ),
        "dataUseCases": (
            "Training and evaluating world models and equivariant representations, where the symmetry is"
            " known. Not meant, and not checked, for anything else."
        ),
        "dataSocialImpact": "None is known: the data shows simple simulated objects.",
        "personalSensitiveInformation": "None: the data has no people, and nothing made by or about people.",
    }


def _distribution(place: str, part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The files of one dataset, below its place."""
    root, files = part["distribution"]
    return [
        {
            **root,
            "@id": f"{place}/zarr.json",
            "name": f"{place}/zarr.json",
            "contentUrl": f"{place}/zarr.json",
        },
        {
            **files,
            "@id": place,
            "name": place,
            "includes": [f"{place}/{pattern}" for pattern in files["includes"]],
        },
    ]


def _records(place: str, part: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of one dataset, with identifiers of their own."""
    prefix = place.removesuffix(".zarr")
    return [
        {
            **record,
            "@id": f"{prefix}/{record['@id']}",
            "name": f"{prefix}/{record['name']}",
            "field": [
                {**field, "@id": f"{prefix}/{field['@id']}", "source": {"fileSet": {"@id": place}}}
                for field in record["field"]
            ],
        }
        for record in part["recordSet"]
    ]
