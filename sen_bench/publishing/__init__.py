"""Datasets and runs as others find them: folders with cards and checksums, the Hugging Face Hub, and back."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
