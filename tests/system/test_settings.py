"""What decides how a process computes is put back, whatever the code of others does to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sen_bench.system import settings_restored
from tests.support.meddling_models import meddle, meddle_with_the_rest, state


@pytest.fixture(autouse=True)
def guarded() -> Iterator[None]:
    """The other tests must not suffer if these fail."""
    with settings_restored():
        yield


def meddling() -> None:
    with settings_restored():
        meddle()
        meddle_with_the_rest()
        raise ZeroDivisionError


def test_every_setting_is_put_back_after_an_error_too() -> None:
    before = state()
    with pytest.raises(ZeroDivisionError):
        meddling()
    assert state() == before


def test_every_setting_is_changed_by_the_test_above() -> None:
    before = state()
    meddle()
    meddle_with_the_rest()
    after = state()
    assert [name for name in before if before[name] == after[name]] == []
