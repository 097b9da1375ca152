from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from matrix.agent import clock

if TYPE_CHECKING:
    from collections.abc import Callable


def test_it_is_the_time_of_day() -> None:
    assert abs(clock.now() - time.time()) < 60


@pytest.mark.parametrize("jump_s", [-86400.0, 4000 * 86400.0])
def test_a_clock_that_is_set_changes_no_duration(jump_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    before = clock.now()
    now: Callable[[], float] = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump_s)
    assert 0 <= clock.now() - before < 60
