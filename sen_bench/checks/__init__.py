"""Verifying a dataset: its files, its contents, and that its recipe gives it again."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
