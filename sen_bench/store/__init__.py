"""The dataset format, version 1: a Zarr v3 group with its symmetry, its provenance and a manifest.

A dataset is written once, row block by row block, by `create_store`, `write_rows`, `sync_rows` and
`finish_store`, and read by `open_dataset`. The manifest comes last: a folder without one is not a dataset.
See `docs/` for the format itself.
"""

from sen_bench.store.croissant import CROISSANT as CROISSANT
from sen_bench.store.journal import Journal as Journal
from sen_bench.store.journal import JournalContents as JournalContents
from sen_bench.store.journal import ShardEntry as ShardEntry
from sen_bench.store.journal import read_journal as read_journal
from sen_bench.store.layout import FORMAT as FORMAT
from sen_bench.store.layout import FORMAT_VERSION as FORMAT_VERSION
from sen_bench.store.layout import ArraySpec as ArraySpec
from sen_bench.store.layout import EpisodeBlocks as EpisodeBlocks
from sen_bench.store.layout import symmetry_arrays as symmetry_arrays
from sen_bench.store.manifest import MANIFEST as MANIFEST
from sen_bench.store.manifest import FileRecord as FileRecord
from sen_bench.store.manifest import Manifest as Manifest
from sen_bench.store.manifest import content_digest as content_digest
from sen_bench.store.manifest import row_digests as row_digests
from sen_bench.store.reader import Dataset as Dataset
from sen_bench.store.reader import check_sizes as check_sizes
from sen_bench.store.reader import open_dataset as open_dataset
from sen_bench.store.remote import CACHE_VARIABLE as CACHE_VARIABLE
from sen_bench.store.remote import OFFLINE_VARIABLE as OFFLINE_VARIABLE
from sen_bench.store.remote import cache_folder as cache_folder
from sen_bench.store.remote import is_url as is_url
from sen_bench.store.writer import Receipt as Receipt
from sen_bench.store.writer import create_store as create_store
from sen_bench.store.writer import finish_store as finish_store
from sen_bench.store.writer import sync_rows as sync_rows
from sen_bench.store.writer import write_rows as write_rows
