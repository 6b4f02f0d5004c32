"""Trackers: where the losses of a training go besides its own log, such as TensorBoard or wandb."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
