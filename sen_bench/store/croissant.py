"""The description of a dataset for search engines and loaders: Croissant 1.1, a vocabulary of JSON-LD.

It says in a standard way what the root attributes and the arrays' metadata say in our own. What only a
publisher can say (address, date, licence, creators) is left out. The vocabulary is MLCommons', see
https://docs.mlcommons.org/croissant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sen_bench.store.manifest import FileRecord

CROISSANT = "croissant.json"

_CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
# Formats without a registered media type are named by a URL.
_ZARR = "https://zarr-specs.readthedocs.io"
_GROUP = "zarr"
_PAPER = (
    "Park, J. Y., Biza, O., Zhao, L., van de Meent, J.-W., and Walters, R. Learning Symmetric Embeddings for"
    " Equivariant World Models. International Conference on Machine Learning, 2022. arXiv:2204.11371"
)
_OF_CROISSANT = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject",
    "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate",
    "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _OF_CROISSANT},
}


def describe(
    attributes: Mapping[str, Any], arrays: Mapping[str, Mapping[str, Any]], metadata: FileRecord
) -> dict[str, Any]:
    """The description, as JSON-able data. It depends on the dataset alone: no time, host or path.

    The arrays are one set of files, because they are read only together. There is a set of records for every
    leading dimension: the episodes, and the elements of the group.

    Args:
        attributes: The root attributes.
        arrays: Path -> metadata of every array, as in its zarr.json.
        metadata: The root's zarr.json.
    """
    task, split = attributes["task"], attributes["split"]
    records: dict[str, list[dict[str, Any]]] = {}
    for path, node in sorted(arrays.items()):
        records.setdefault(node["dimension_names"][0], []).append(_field(path, node))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"{task}-{split}",
        "description": (
            f"Episodes of the world {attributes['world_id']}, split {split!r} of the task {task!r}, with the"
            f" symmetry that acts on it: a Zarr v3 group in the format of sen-bench. Content digest:"
            f" sha256 {attributes['content_digest']}."
        ),
        "conformsTo": _CONFORMS_TO,
        "version": f"{attributes['generator_version']}.0.0",
        "citeAs": _PAPER,
        "keywords": ["equivariance", "world models", "symmetry", task],
        "isLiveDataset": False,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "zarr.json",
                "name": "zarr.json",
                "description": "the root of the Zarr group, with the metadata of all its arrays",
                "contentUrl": "zarr.json",
                "contentSize": f"{metadata.size} B",
                "encodingFormat": "application/json",
                "sha256": metadata.sha256,
            },
            {
                "@type": "cr:FileSet",
                "@id": _GROUP,
                "name": "arrays",
                "description": "the arrays of the Zarr group, to be read with a Zarr library",
                "encodingFormat": _ZARR,
                "includes": [f"{path}/**" for path in sorted(arrays)],
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": dimension,
                "name": dimension,
                "description": f"a record for every {dimension.replace('_', ' ')}",
                "field": [{**field, "@id": f"{dimension}/{field['name']}"} for field in fields],
            }
            for dimension, fields in records.items()
        ],
    }


def _field(path: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """One array as a field of the records along its first dimension."""
    row, dimensions = node["shape"][1:], node["dimension_names"][1:]
    field = {
        "@type": "cr:Field",
        "name": path,
        "description": node["attributes"]["description"] + (f" [{', '.join(dimensions)}]" if row else ""),
        "dataType": _data_type(np.dtype(node["data_type"])),
        "source": {"fileSet": {"@id": _GROUP}},
    }
    return {**field, "isArray": True, "arrayShape": ",".join(map(str, row))} if row else field


def _data_type(dtype: np.dtype[Any]) -> str:
    """Croissant's name for a number type."""
    if dtype.kind == "b":
        return "sc:Boolean"
    kind = {"u": "UInt", "i": "Int", "f": "Float"}[dtype.kind]
    return f"cr:{kind}{8 * dtype.itemsize}"
