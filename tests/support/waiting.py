"""Waiting for what another process or thread does, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT = 1500.0
"""Seconds: less than pytest's timeout, so that a test which waits in vain says so."""


def wait_until(condition: Callable[[], bool], alive: Callable[[], object] = lambda: None) -> None:
    """Waits until a condition holds.

    Args:
        condition: The condition.
        alive: Called now and then; raises where there is nobody left who could fulfil it.

    Raises:
        TimeoutError: If it does not hold after `LIMIT` seconds.
    """
    deadline = time.monotonic() + LIMIT
    while not condition():
        alive()
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {LIMIT:.0f} s in vain")
        time.sleep(0.01)
