"""Clusters: workers of a Dask scheduler, or of SLURM jobs, that see the same file system as this machine."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
