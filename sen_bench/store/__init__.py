"""The dataset format, version 1: a Zarr v3 group with its symmetry, its provenance and a manifest.

A dataset is written once, row block by row block, by `create_store`, `write_rows`, `sync_rows` and
`finish_store`, and read by `open_dataset`. The manifest comes last: a folder without one is not a dataset.
See `docs/` for the format itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
