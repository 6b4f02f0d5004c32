"""Sweeps: many runs into one table, in this process, side by side in several, or on a cluster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
