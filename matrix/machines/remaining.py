"""The groups of cells that a run has yet to have run, with the failures of workers at each. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId

MOVES = 3
"""How often a group goes to another worker, because the one that had it failed."""


@dataclass
class Remaining:
    """A group of cells that is yet to be run.

    `cells` are all of the group, the base's first; `lacking` are those without a result. `failures` are the reasons why
    it went to another worker, and `failed_at` the addresses of workers whose machine or engine failed. `reused` are the
    keys of the transcripts of cells whose results are those of an earlier run.
    """

    name: str
    cells: tuple[Cell, ...]
    lacking: set[CellId]
    failures: list[str] = field(default_factory=list)
    failed_at: set[str] = field(default_factory=set)
    reused: dict[CellId, str] = field(default_factory=dict)

    @property
    def is_bound(self) -> bool:
        """Whether only workers of the kind that the reused results are of may run the others.

        A base and its head are compared with each other: both have to be of the same image, engine and kernel.
        """
        return bool(self.reused) and len({cell.tree.name for cell in self.cells}) > 1

    def forget(self) -> None:
        """Have all cells lack a result again."""
        self.lacking.update(cell.id for cell in self.cells)
        self.reused.clear()

    def fail(self, reason: str, worker: str = "") -> bool:
        """Note a failure; return whether the group may go to another worker."""
        self.failures.append(reason)
        if worker:
            self.failed_at.add(worker)
        return len(self.failures) <= MOVES


def groups(
    cells: Iterable[Cell],
    lacking: Iterable[CellId],
    name: Callable[[CellId], str],
    reused: Mapping[CellId, str] = MappingProxyType({}),
) -> list[Remaining]:
    """Return the groups that have a cell without a result.

    `name` gives the name of a cell's group, and `reused` the key of the transcript of each cell with an earlier result.
    """
    left = set(lacking)
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(name(cell.id), []).append(cell)
    made = [Remaining(group, tuple(members), {cell.id for cell in members} & left) for group, members in found.items()]
    for group in made:
        group.reused.update({cell.id: reused[cell.id] for cell in group.cells if cell.id in reused.keys() - left})
    return [group for group in made if group.lacking]
