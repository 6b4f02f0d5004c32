"""What is compared with what: each task ties a world, its splits, its models and its horizons together."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
