"""Known failures: findings that are shown to be the fault of the tree itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from matrix.model.base import Frozen, Name
from matrix.model.cell import matches

if TYPE_CHECKING:
    from matrix.model.cell import Cell


class KnownFailure(Frozen):
    """One entry of known-failures.yaml: findings of one check that are shown to be the fault of the tree itself.

    Each of `trees` is a glob over tree names, or the beginning of a kernel version, so that the entry applies to
    branches on top of that version too. Each of `findings` is a glob over finding keys (`KIND:SUBJECT`), each of
    `cells` one over cell ids, or with `!` in front one over cells that it leaves out. With `out_of_tree` the entry is
    one of builds with `O=` or of builds without; with `options` of cells whose perf prints these values of its build
    options. An `intermittent` failure was seen to come and go with nothing changed: its absence proves nothing.
    """

    trees: tuple[str, ...] = Field(min_length=1)
    cells: tuple[str, ...] = Field(min_length=1)
    check: Name
    findings: tuple[str, ...] = Field(min_length=1)
    why: str = Field(min_length=1)
    evidence: str = Field(min_length=1)
    out_of_tree: bool | None = None
    options: dict[str, Literal["on", "OFF"]] = Field(default_factory=dict)
    intermittent: bool = False

    @field_validator("cells")
    @classmethod
    def _names_some(cls, cells: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse an entry that only leaves cells out: it would be of none."""
        if all(glob.startswith("!") for glob in cells):
            raise ValueError("names no cell: each glob leaves some out")
        return cells

    def names(self, cell: Cell) -> bool:
        """Return whether the entry is of a cell, as far as its definition tells."""
        is_out_of_tree = cell.build.out_of_tree
        if self.out_of_tree not in (None, is_out_of_tree):
            return False
        wanted = [glob for glob in self.cells if not glob.startswith("!")]
        without = [glob.removeprefix("!") for glob in self.cells if glob.startswith("!")]
        is_wanted = any(matches(cell.id, glob) for glob in wanted)
        return is_wanted and not any(matches(cell.id, glob) for glob in without)

    @property
    def required_findings(self) -> tuple[str, ...]:
        """The globs that must each match a finding, as else the failure is gone; none for an intermittent failure."""
        return () if self.intermittent else self.findings
