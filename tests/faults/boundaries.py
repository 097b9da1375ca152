"""The boundaries between the matrix and the outside, the faults at each, and the choice of one by a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.scenarios import SCENARIOS, USUAL
from tests.faults.trial import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FILE_SYSTEM, ENGINE, PROGRAMS, CLOCK, SIGNALS = "file system", "engine", "programs", "clock", "signals"
DOWNLOADS = "downloads"

FAULTS: dict[str, dict[str, tuple[str, ...]]] = {
    FILE_SYSTEM: {
        "open to read": ("EIO", "EMFILE", "EACCES"),
        "read": ("EIO",),
        "open to write": ("ENOSPC", "EROFS", "EMFILE", "EIO", "ENOSPC lasting", "EROFS lasting"),
        "write": ("short", "EIO", "ENOSPC lasting"),
        "close": ("EIO", "ENOSPC"),
        "flush": ("EIO", "ENOSPC lasting"),
        "rename": ("EIO", "ENOSPC", "EROFS lasting"),
        "make folder": ("ENOSPC", "EROFS", "EIO"),
        "remove": ("EROFS", "EIO"),
        "list folder": ("EIO", "EMFILE"),
        "stat": ("EIO", "EACCES"),
        "lock": ("ENOLCK", "EIO"),
    },
    ENGINE: {
        "connect": ("ECONNREFUSED", "ETIMEDOUT", "EMFILE"),
        "engine": ("lost", "unanswered", "cut", "error 500", "hang", "gone", "restart"),
    },
    DOWNLOADS: {
        "connect to the server": ("ECONNREFUSED", "ENETUNREACH", "EMFILE"),
        "server": ("lost", "cut", "error 503", "empty", "another", "gone"),
    },
    PROGRAMS: {
        "start a program": ("ENOENT", "ENOMEM", "EAGAIN"),
        "child": ("SIGKILL",),
        "ask a child": ("SIGKILL",),
        "a child's answer": ("SIGKILL",),
    },
    CLOCK: {"clock": ("1", "-1", "4000")},
    SIGNALS: {"any call": ("SIGINT", "SIGTERM", "SIGKILL")},
}
"""The kinds of faults by boundary; those of the clock are days that it jumps."""

WEIGHTS = {FILE_SYSTEM: 42, ENGINE: 25, DOWNLOADS: 30, PROGRAMS: 12, CLOCK: 4, SIGNALS: 22}
"""How often a fault is of a kind, among those that a scenario has."""

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
    scenario: str = USUAL

    def __str__(self) -> str:
        scenario = "" if self.scenario == USUAL else f"{self.scenario}/"
        return f"{scenario}{self.role}:{self.boundary}:{self.number}:{self.how}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Return the fault that a text as `worker:rename:3:EIO` or `resume/worker:rename:3:EIO` names."""
        head, rest = text.split(":", 1)
        scenario, _, role = head.rpartition("/")
        boundary, number, how = rest.rsplit(":", 2)
        place = _named((role, boundary))
        [kind] = [kind for kind, boundaries in FAULTS.items() if place in boundaries]
        return cls(kind, role, boundary, int(number), how, scenario or USUAL)


def chosen(seed: int, number: int, counts_of: Callable[[str], Mapping[tuple[str, str], int]]) -> Fault:
    """Return the fault of this number in the campaign of a seed; `counts_of` gives the counts of a scenario."""
    choice = random.Random(f"{seed}:{number}")  # noqa: S311 - no secret
    scenario = choice.choices(list(SCENARIOS), [one.weight for one in SCENARIOS.values()])[0]
    counts = counts_of(scenario)
    there = {_named(place) for place, count in counts.items() if count}
    weights = {kind: weight for kind, weight in WEIGHTS.items() if there & set(FAULTS[kind])}
    kind = choice.choices(list(weights), list(weights.values()))[0]
    places = sorted(place for place, count in counts.items() if count and _named(place) in FAULTS[kind])
    # The engine's routes are many and those of a process few: each boundary gets its share, and then each place.
    boundary = choice.choice(sorted({_named(place) for place in places}))
    role, where = choice.choice([place for place in places if _named(place) == boundary])
    how = choice.choice(FAULTS[kind][boundary])
    return Fault(kind, role, where, choice.randint(1, counts[role, where]), how, scenario)


def _named(place: tuple[str, str]) -> str:
    role, where = place
    return role if role in OUTSIDE else where
