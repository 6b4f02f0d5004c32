"""Interrupts that are put off for a moment are neither lost nor seen within it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import pytest

from sen_bench.system.interrupts import DeferredInterrupts
from sen_bench.system.processes import interrupts_held
from tests.support.interrupting import interrupted_everywhere

DEFERRING = ("system/interrupts.py",)


class _Terminated(BaseException):
    """What a handler of SIGTERM raises."""


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


@pytest.fixture
def terminable() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, _terminate)
    yield
    signal.signal(signal.SIGTERM, before)


def _try(semaphore: threading.Semaphore, *, deferred: bool) -> None:
    if deferred:
        with DeferredInterrupts():
            semaphore.acquire(timeout=0)
    else:
        semaphore.acquire(timeout=0)


def test_at_some_moments_an_interrupt_leaves_a_lock_held_unless_it_is_deferred() -> None:
    """The fault itself, in a semaphore as executors have one: what releases it would wait for ever."""
    held = {}
    for deferred in (False, True):
        semaphores: list[threading.Semaphore] = []

        def work(semaphores: list[threading.Semaphore] = semaphores, *, deferred: bool = deferred) -> None:
            semaphores.append(threading.Semaphore(1))
            _try(semaphores[-1], deferred=deferred)

        assert any(list(interrupted_everywhere(work)))
        held[deferred] = [s for s in semaphores if s._cond._lock.locked()]  # type: ignore[attr-defined]
    assert held[False]
    assert not held[True]


@pytest.mark.usefixtures("terminable")
@pytest.mark.parametrize(
    ("number", "raised", "handler"),
    [
        (signal.SIGINT, KeyboardInterrupt, signal.default_int_handler),
        (signal.SIGTERM, _Terminated, _terminate),
    ],
)
def test_it_comes_when_the_block_is_over(
    number: signal.Signals, raised: type[BaseException], handler: Callable[..., object]
) -> None:
    done = []

    def work() -> None:
        with DeferredInterrupts():
            signal.raise_signal(number)
            done.append(True)

    with pytest.raises(raised):
        work()
    assert done
    assert signal.getsignal(number) is handler


def test_it_comes_when_the_outermost_block_is_over() -> None:
    done = []

    def work() -> None:
        with DeferredInterrupts():
            with DeferredInterrupts():
                signal.raise_signal(signal.SIGINT)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done


def test_it_outdoes_an_error_of_the_block() -> None:
    def work() -> None:
        with DeferredInterrupts():
            signal.raise_signal(signal.SIGINT)
            raise ValueError

    with pytest.raises(KeyboardInterrupt) as caught:
        work()
    assert isinstance(caught.value.__context__, ValueError)


def test_signals_that_end_the_process_or_are_ignored_are_left_alone() -> None:
    with DeferredInterrupts():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with DeferredInterrupts():
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("terminable")
def test_an_interrupt_while_handlers_are_exchanged_is_not_lost_and_neither_is_the_next() -> None:
    inside = []

    def work() -> None:
        with DeferredInterrupts():
            inside.append(True)

    before = signal.getsignal(signal.SIGINT)
    moments = 0
    for interrupted in interrupted_everywhere(work, within=DEFERRING):
        moments += 1
        assert interrupted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(_Terminated):
            signal.raise_signal(signal.SIGTERM)
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, _terminate)
    assert 0 < len(inside) < moments


def test_other_threads_are_not_interrupted_and_may_use_it() -> None:
    handlers = []

    def work() -> None:
        with DeferredInterrupts():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be blocked")
def test_while_processes_start_it_is_held_whichever_thread_receives_it() -> None:
    """The system gives a signal to any thread that does not block it."""
    begin, done = threading.Event(), []

    def receive() -> None:
        begin.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    thread = threading.Thread(target=receive)  # starts with an open mask
    thread.start()

    def work() -> None:
        with interrupts_held():
            begin.set()
            thread.join()
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done
