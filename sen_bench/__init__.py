"""Symmetry-annotated datasets and benchmarks for symmetric embedding networks.

What is most used from Python is here, and loaded when it is first asked for: ``import sen_bench as sb``, then
``sb.load("3d-blocks", "eval", preset="smoke")``. The rest is in the packages: `sen_bench.envs`,
`sen_bench.data`, `sen_bench.checks` and so on.
"""

import lazy_loader

from sen_bench._version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
