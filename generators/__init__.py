"""Generators: from a recipe to a dataset.

A `Recipe` says what to generate, `generate` writes it. Equal recipes give equal bytes, whatever the number
of workers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
