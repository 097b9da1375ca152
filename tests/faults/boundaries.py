"""The boundaries between the matrix and the outside, the faults at each, and the choice of one by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_SYSTEM, ENGINE, PROGRAMS, CLOCK, SIGNALS = "file system", "engine", "programs", "clock", "signals"

FAULTS: dict[str, dict[str, tuple[str, ...]]] = {
    FILE_SYSTEM: {
        "open to read": ("EIO", "EMFILE", "EACCES"),
        "open to write": ("ENOSPC", "EROFS", "EMFILE", "EIO", "ENOSPC lasting", "EROFS lasting"),
        "write": ("short", "EIO", "ENOSPC lasting"),
        "rename": ("EIO", "ENOSPC", "EROFS lasting"),
        "make folder": ("ENOSPC", "EROFS", "EIO"),
        "remove": ("EROFS", "EIO"),
        "list folder": ("EIO", "EMFILE"),
        "lock": ("ENOLCK", "EIO"),
    },
    ENGINE: {
        "connect": ("ECONNREFUSED", "ETIMEDOUT", "EMFILE"),
        "engine": ("lost", "unanswered", "cut", "error 500", "hang", "gone", "restart"),
    },
    PROGRAMS: {"start a program": ("ENOENT", "ENOMEM", "EAGAIN"), "child": ("SIGKILL",)},
    CLOCK: {"clock": ("1", "-1", "4000")},
    SIGNALS: {"any call": ("SIGINT", "SIGTERM", "SIGKILL")},
}
"""The kinds of faults by boundary; those of the clock are days that it jumps."""

WEIGHTS = {FILE_SYSTEM: 42, ENGINE: 25, PROGRAMS: 7, CLOCK: 4, SIGNALS: 22}
"""How many of a hundred faults are of a kind."""

ROLES = ("command", "controller", "worker")
Counts = dict[tuple[str, str], int]
"""How often an undisturbed run comes to a boundary, by its process and boundary; for the engine's by its route."""


@dataclass(frozen=True)
class Fault:
    """One fault: in the process `role` (or `engine`), at the `number`-th call at `boundary` (or request of a route)."""

    kind: str
    role: str
    boundary: str
    number: int
    how: str

    def __str__(self) -> str:
        return f"{self.role}:{self.boundary}:{self.number}:{self.how}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Return the fault that a text as `worker:rename:3:EIO` names."""
        role, rest = text.split(":", 1)
        boundary, number, how = rest.rsplit(":", 2)
        named = "engine" if role == "engine" else boundary
        [kind] = [kind for kind, boundaries in FAULTS.items() if named in boundaries]
        return cls(kind, role, boundary, int(number), how)


def chosen(seed: int, number: int, counts: Mapping[tuple[str, str], int]) -> Fault:
    """Return the fault of this number in the campaign of a seed."""
    choice = random.Random(f"{seed}:{number}")  # noqa: S311 - no secret
    kind = choice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    places = sorted(place for place, count in counts.items() if count and _named(place) in FAULTS[kind])
    # The engine's routes are many and those of a process few: each boundary gets its share, and then each place.
    boundary = choice.choice(sorted({_named(place) for place in places}))
    role, where = choice.choice([place for place in places if _named(place) == boundary])
    how = choice.choice(FAULTS[kind][boundary])
    return Fault(kind, role, where, choice.randint(1, counts[role, where]), how)


def _named(place: tuple[str, str]) -> str:
    role, where = place
    return "engine" if role == "engine" else where
