"""The placement of cells: which workers can run a group of cells, and the reason where one cannot. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from matrix.verdicts.wording import count, cut

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from matrix.machines.messages import Machine, Needs

GIB = 1 << 30
SHOWN = 5

AHEAD = 4
"""The groups that are given out for each that a worker runs at once: the others wait beside it and are begun at once.

A run of 10,000 cells keeps the rest itself: its scheduler and its command then have little to remember.
"""


def obstacle(machine: Machine, needs: Needs, program: str) -> str:
    """Return the reason why a machine cannot run a group of cells with these needs; nothing where it can.

    `program` is the digest of the program that the run's command is.
    """
    if machine.program != program:
        return f"has another program ({machine.version})"
    if machine.architecture != needs.architecture:
        return f"is {machine.architecture}, not {needs.architecture}"
    if machine.memory_bytes < needs.memory_bytes:
        return f"has {machine.memory_bytes / GIB:.1f} GiB of memory, not {needs.memory_bytes / GIB:.1f}"
    if needs.btf and not machine.btf:
        return "has no type information of its kernel"
    return ""


def suitable(
    machines: Mapping[str, Machine], needs: Needs, program: str, without: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the addresses of the workers that can run a group of cells, without those that failed at it."""
    return tuple(
        address
        for address, machine in machines.items()
        if address not in without and not obstacle(machine, needs, program)
    )


class Places:
    """The places that the workers have for groups at one time, `AHEAD` for each group that a worker runs at once.

    `taken` are the workers that can run each group that was given out: its place is at one of these.
    """

    def __init__(self, machines: Mapping[str, Machine], program: str, taken: Iterable[tuple[str, ...]]) -> None:
        self._machines = machines
        self._program = program
        self._taken = Counter(taken)
        self._left = self._number(machines) - self._taken.total()
        self._found: dict[tuple[Needs, frozenset[str]], tuple[str, ...]] = {}

    def _number(self, addresses: Iterable[str]) -> int:
        return AHEAD * sum(self._machines[address].at_once for address in addresses)

    @property
    def are_taken(self) -> bool:
        """Whether no place is left."""
        return self._left <= 0

    def suitable(self, needs: Needs, without: Collection[str]) -> tuple[str, ...]:
        """Return the addresses of the workers that can run a group, with a place left or without (see `suitable`)."""
        key = needs, frozenset(without)
        if key not in self._found:
            self._found[key] = suitable(self._machines, needs, self._program, without)
        return self._found[key]

    def has_room(self, fit: tuple[str, ...]) -> bool:
        """Return whether these workers have a place for one more group."""
        return self._taken[fit] < self._number(fit)

    def take(self, fit: tuple[str, ...]) -> bool:
        """Take a place for a group at these workers; return whether there was one."""
        if not self.has_room(fit):
            return False
        self._taken[fit] += 1
        self._left -= 1
        return True


def obstacles(machines: Mapping[str, Machine], needs: Needs, program: str, silent: Iterable[str] = ()) -> str:
    """Return the sentence on why none of the workers can run a group of cells.

    `silent` are the names of workers that have yet to say which images and engine they have.
    """
    reasons = [f"{machine.name} {obstacle(machine, needs, program)}" for machine in machines.values()]
    reasons += [f"{name} has not said which images and engine it has" for name in silent]
    if not reasons:
        return "no worker is connected"
    return f"none of {count(len(reasons), 'worker')} can run one: {'; '.join(cut(sorted(reasons), SHOWN))}"
