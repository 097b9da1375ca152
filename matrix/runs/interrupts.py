"""Signals that ask a command to end."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let each signal that asks for an end raise KeyboardInterrupt, so that nothing is left behind.

    After the first signal SIGINT and SIGHUP are ignored, so that the end is not interrupted in its turn: a terminal's
    Ctrl-C reaches a command below tox twice, from the terminal and from tox. SIGTERM still cuts the end short.
    """
    # SIGINT even where it is ignored, as in a script's background job, which could never be interrupted otherwise:
    # https://www.gnu.org/software/bash/manual/html_node/Signals.html
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under nohup
        numbers.append(signal.SIGHUP)

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        for number in numbers:
            if number != signal.SIGTERM:
                signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
