"""A worker that waits for its scheduler."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from matrix.machines import worker

if TYPE_CHECKING:
    from collections.abc import Awaitable


async def _never() -> None:
    await asyncio.Event().wait()


async def _at_once() -> None:
    """Begin."""


async def _refused() -> None:
    raise OSError("Connection refused")


async def _connected(beginning: Awaitable[None], *, is_asked: bool) -> bool:
    ended = asyncio.Event()
    if is_asked:
        ended.set()
    one: Any = beginning
    return await asyncio.wait_for(worker._is_connected(one, ended), 5)


def test_a_worker_whose_scheduler_does_not_answer_ends_when_it_is_asked_to() -> None:
    assert not asyncio.run(_connected(_never(), is_asked=True))


def test_a_worker_that_has_begun_is_connected_and_one_that_cannot_begin_is_not() -> None:
    assert asyncio.run(_connected(_at_once(), is_asked=False))
    assert not asyncio.run(_connected(_refused(), is_asked=False))


def test_a_worker_that_is_cancelled_itself_says_so() -> None:
    async def cancelled() -> None:
        waiting = asyncio.create_task(_connected(_never(), is_asked=False))
        await asyncio.sleep(0)
        waiting.cancel()
        await waiting

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
