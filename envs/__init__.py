"""Worlds: Gymnasium environments with a known symmetry.

Importing this package registers every world with Gymnasium; the modules themselves are imported when a
world is made. A third party adds a world by subclassing `World` and calling `register_world`.
"""

import lazy_loader

from sen_bench.envs import registration as registration

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
