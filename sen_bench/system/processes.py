"""Child processes that follow their parent: it alone handles Ctrl-C, and they end when it does."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sen_bench.system.interrupts import DeferredInterrupts


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Holds back Ctrl-C; processes started meanwhile never receive it, not even while they import.

    Ctrl-C reaches every process of the terminal, but the parent alone decides, and stops the others.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    with DeferredInterrupts():  # what another thread receives is handled in this one all the same
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed_parent() -> None:
    """To be called first in a child: it will ignore Ctrl-C, and will not outlive its parent."""
    # For Windows, see `interrupts_held`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """Ends this process when its parent is killed; otherwise it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
