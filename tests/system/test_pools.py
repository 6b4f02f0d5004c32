"""Interrupts at every moment of using a pool: no lock is left held, no thread is left waiting."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from sen_bench.system.pools import InterruptiblePool
from tests.paths import ROOT
from tests.support.interrupting import interrupted_everywhere, threads_named

NAME = "interrupted"


def _pool(threads: int = 2) -> InterruptiblePool:
    return InterruptiblePool(ThreadPoolExecutor(threads, thread_name_prefix=NAME))


def _double(number: int) -> int:
    return 2 * number


def _map() -> None:
    with _pool() as pool:
        assert list(pool.map(_double, range(3))) == [0, 2, 4]


def _submit() -> None:
    with _pool() as pool:
        futures = [pool.submit(_double, number) for number in range(3)]
        assert pool.result(futures[1]) == 2
        assert {pool.result(future) for future in pool.finished(futures)} == {0, 2, 4}


@pytest.mark.parametrize("work", [_map, _submit])
def test_an_interrupt_at_any_moment_is_one_and_all_threads_end(work: Callable[[], None]) -> None:
    """It hangs if one does not: the block waits for its threads."""
    assert all(interrupted_everywhere(work))
    for thread in threads_named(NAME):  # of those of which an interrupt came before the block
        thread.join()


def test_results_come_in_order_and_the_first_error_is_raised() -> None:
    def reciprocal(number: int) -> float:
        return 1 / number

    with _pool() as pool:
        assert list(pool.map(reciprocal, (1, 2, 4))) == [1, 0.5, 0.25]
        with pytest.raises(ZeroDivisionError):
            list(pool.map(reciprocal, (1, 0, 2)))
        failed, sound = pool.submit(reciprocal, 0), pool.submit(reciprocal, 2)
        with pytest.raises(ZeroDivisionError):
            pool.result(failed)
        assert pool.result(sound) == 0.5


def test_what_is_not_begun_is_cancelled_and_what_is_begun_is_waited_for() -> None:
    begun, go, done = threading.Event(), threading.Event(), []

    def work(number: int) -> None:
        begun.set()
        go.wait()
        done.append(number)

    def interrupt() -> None:
        begun.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        go.set()

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt), _pool(1) as pool:
        list(pool.map(work, range(3)))
    other.join()
    assert done[:1] == [0]
    assert not threads_named(NAME)


def test_all_pools_of_threads_are_such_pools() -> None:
    product = [
        path
        for room in ("sen_bench", "baselines", "envs", "generators")
        for path in (ROOT / room).rglob("*.py")
    ]
    text = "".join(path.read_text() for path in product)
    assert text.count("ThreadPoolExecutor(") == text.count("InterruptiblePool(ThreadPoolExecutor(") > 0
    assert not re.search(
        r"(futures\.wait|futures\.as_completed)\(|from concurrent.futures import .*(wait|as_completed)", text
    )


def test_a_pool_can_be_used_from_several_threads() -> None:
    results: list[list[int]] = []
    with _pool() as pool:
        threads = [
            threading.Thread(target=lambda: results.append(list(pool.map(_double, range(50)))))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [[2 * number for number in range(50)]] * 3
