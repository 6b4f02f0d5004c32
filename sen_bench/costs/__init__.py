"""What a training step takes: operations and bytes counted from the networks, and the limits of a machine."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
