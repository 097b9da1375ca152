"""Numbers and lists as every verdict, report and table words them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def count(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, whose plural ends in `s` unless it is given: `1 finding`, `2 patches`."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"


MINUTE_S = 60
LONG_S = 10 * MINUTE_S
"""The time from which seconds say less than minutes."""


def cpu_time(seconds: float) -> str:
    """Return a CPU time in words: `95 s of CPU time`, `12 min of CPU time`."""
    words = f"{seconds / MINUTE_S:.0f} min" if seconds >= LONG_S else f"{seconds:.0f} s"
    return f"{words} of CPU time"


def number_left(items: Sequence[object], shown: int) -> int:
    """Return how many items are left out of a list of which the first `shown` are written."""
    return max(len(items) - shown, 0)


def cut(texts: Sequence[str], shown: int) -> list[str]:
    """Return the first texts of a list and the number of the others: `a`, `b`, `and 3 more`."""
    left = number_left(texts, shown)
    return [*texts[:shown], f"and {left} more"] if left else list(texts)


def first_of(texts: Sequence[str]) -> str:
    """Return the first text and the number of the others: `left:/a (+2)`; nothing for an empty list."""
    if not texts:
        return ""
    left = number_left(texts, 1)
    return f"{texts[0]} (+{left})" if left else texts[0]
