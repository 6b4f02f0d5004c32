"""Interrupts at every moment of a piece of work, one after another."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SPEAKING = ("threading.py", "queue.py", "concurrent/futures/thread.py", "concurrent/futures/_base.py")
"""The code in which threads speak to each other, by how the names of its files end."""


def interrupted_everywhere(
    work: Callable[[], object], *, within: tuple[str, ...] = _SPEAKING
) -> Iterator[bool]:
    """Does some work again and again, with SIGINT at its first moment, its second, until it has no more.

    Moments are those at which CPython runs handlers of signals: when a function of Python begins, and when
    one of C has returned.

    Args:
        work: The work; it is done in this thread.
        within: Only moments in files whose names end like one of these.

    Yields:
        After each time whether it ended by `KeyboardInterrupt`, and not as ever.
    """
    moment, came = 0, True
    while came:
        moment, came = moment + 1, False
        passed = 0

        def look(frame: FrameType, event: str, _: object, moment: int = moment) -> None:
            nonlocal came, passed
            if event not in {"call", "c_return"} or not frame.f_code.co_filename.endswith(within):
                return
            passed += 1
            if passed == moment:
                came = True
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)

        interrupted = False
        try:
            sys.setprofile(look)
            work()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            sys.setprofile(None)
        if came:
            yield interrupted


def threads_named(prefix: str) -> list[threading.Thread]:
    """The living threads whose names begin so."""
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
