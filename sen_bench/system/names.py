"""Names that a folder can have and that survive a table of results as text."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")

# What `pandas.read_csv` takes for missing and has the form of a name.
_MISSING: Final = frozenset({"NA", "NULL", "None", "null"})


def is_plain_name(name: str) -> bool:
    """Whether folders and tables can have a name: letters, digits, ``_``, ``.`` and ``-``.

    Numbers, truth values and what tables take for missing values are not such names.
    """
    try:
        float(name)
    except ValueError:
        return (
            _NAME.fullmatch(name) is not None
            and name.lower() not in {"true", "false"}
            and name not in _MISSING
        )
    return False
