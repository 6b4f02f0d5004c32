"""The paper's idea in small: problems that show it in seconds, without worlds and datasets."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
