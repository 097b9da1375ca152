"""Known failures: findings that are shown to be the fault of the tree itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from matrix.model.base import Frozen, MakeName, Name
from matrix.model.cell import matches

if TYPE_CHECKING:
    from matrix.model.cell import Cell


class KnownFailure(Frozen):
    """One entry of known-failures.yaml: findings of one check that are shown to be the fault of the tree itself.

    Each of `trees` is a glob over tree names, or the beginning of a kernel version, so that the entry applies to
    branches on top of that version too. Each of `findings` is a glob over finding keys (`KIND:SUBJECT`), each of
    `cells` one over cell ids. With `out_of_tree` the entry is one of builds with `O=` or of builds without; with
    `options` of cells whose perf has these values of its build options. Builds that give make a variable of
    `unless_make` do not come to the cause. An `intermittent` failure was seen to come and go with nothing changed: its
    absence proves nothing.
    """

    trees: tuple[str, ...] = Field(min_length=1)
    cells: tuple[str, ...] = Field(min_length=1)
    check: Name
    findings: tuple[str, ...] = Field(min_length=1)
    why: str = Field(min_length=1)
    evidence: str = Field(min_length=1)
    out_of_tree: bool | None = None
    options: dict[str, Literal["on", "OFF"]] = Field(default_factory=dict)
    unless_make: tuple[MakeName, ...] = ()
    intermittent: bool = False

    def names(self, cell: Cell) -> bool:
        """Return whether the entry is of a cell, as far as its definition tells."""
        if self.out_of_tree not in (None, cell.build.out_of_tree):
            return False
        return any(matches(cell.id, glob) for glob in self.cells) and not cell.make.keys() & set(self.unless_make)

    @property
    def required_findings(self) -> tuple[str, ...]:
        """The globs that must each match a finding, as else the failure is gone; none for an intermittent failure."""
        return () if self.intermittent else self.findings
