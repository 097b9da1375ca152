"""The groups of cells that a run has yet to have run, with the failures of workers at each. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId

MOVES = 3
"""How often a group goes to another worker, because the one that had it failed."""


@dataclass
class Remaining:
    """A group of cells that is yet to be run.

    `cells` are all of the group, the base's first; `lacking` are those without a result. `failures` are the reasons why
    it went to another worker, and `failed_at` the addresses of workers whose machine or engine failed.
    """

    name: str
    cells: tuple[Cell, ...]
    lacking: set[CellId]
    failures: list[str] = field(default_factory=list)
    failed_at: set[str] = field(default_factory=set)

    def fail(self, reason: str, worker: str = "") -> bool:
        """Note a failure; return whether the group may go to another worker."""
        self.failures.append(reason)
        if worker:
            self.failed_at.add(worker)
        return len(self.failures) <= MOVES


def groups(cells: Iterable[Cell], lacking: Iterable[CellId], name: Callable[[CellId], str]) -> list[Remaining]:
    """Return the groups that have a cell without a result; `name` gives the name of a cell's group."""
    left = set(lacking)
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(name(cell.id), []).append(cell)
    made = [Remaining(group, tuple(members), {cell.id for cell in members} & left) for group, members in found.items()]
    return [group for group in made if group.lacking]
