"""Symmetry-annotated datasets and benchmarks for symmetric embedding networks."""

from sen_bench._version import __version__ as __version__
