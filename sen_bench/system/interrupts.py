"""Ctrl-C and SIGTERM, put off where they would leave a lock held that others wait for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final

_INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM)


class DeferredInterrupts:
    """Puts off what handlers of SIGINT and SIGTERM written in Python do to the end of the block.

    Python runs such a handler between any two steps of the main thread, also where a lock was just taken and
    what would release it has not begun: `threading.Condition`, and so futures, semaphores and queues, have
    such instants. A `KeyboardInterrupt` that is raised there leaves the lock held, and every thread that
    needs it waits for ever.

    The block should be short, and must not wait for what may take long: Ctrl-C would not end that. Other
    threads are never interrupted; for them it does nothing.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._came: list[int] = []
        self._active = False

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _INTERRUPTS:
            handler = signal.getsignal(number)
            if callable(handler):  # others ignore the signal, or end the process without running any Python
                self._handlers[number] = handler
                signal.signal(number, self._handle)
        self._active = True

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active = False
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for number in self._came:
            self._handlers[number](number, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Notes a signal; before and after the block, where one handler may be replaced, passes it on.

        So nothing is lost if an interrupt comes while the handlers are exchanged: one that stays where it is
        does what the one before it did.
        """
        if self._active:
            self._came.append(number)
        else:
            self._handlers[number](number, frame)
