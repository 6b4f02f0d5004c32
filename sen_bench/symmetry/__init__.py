"""Groups, their representations, and how a group acts on a world, all as data.

A :class:`Group` is its Cayley table. A :class:`Representation` gives a permutation or a matrix for every
element and is checked to be a homomorphism when it is made. A :class:`Symmetry` names the representations
by which a group acts on one world. All three round-trip through JSON; that JSON is stored in every dataset.
:class:`SO3` and :class:`SO3Representation` are the counterparts for the rotations of space.

Conventions, used everywhere in sen-bench:

- An element of a finite group is an integer; element 0 is the identity; ``cayley[a, b]`` is the product
  "first b, then a".
- A permutation representation says where each index goes: ``(rho(g) x)[permutation[g, i]] = x[i]``, so
  ``permutation[ab] = permutation[a][permutation[b]]``.
- An element of SO(3) is its matrix, float64 ``[3, 3]``.
- The generator of a cyclic group C_n is the counter-clockwise rotation by 360/n degrees.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
