"""The cell that a command's argument names: one of the configuration, or one of a run, as the run's report prints it.

A tree that was given by its source (`git:PATH@REV`), and the trees of a series, have names that only their run knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.config import selection, tree_words
from matrix.errors import UsageError
from matrix.model.cell import matches
from matrix.runs import ownership, store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run

SHOWN = 6
"""Ids of cells that a message about several names."""


@dataclass(frozen=True)
class NamedCell:
    """A cell, and the run that it was found in; no run for a cell of the configuration."""

    cell: Cell
    run: Run | None = None

    @property
    def pins(self) -> Path | None:
        """The folder in which the run notes the content of its trees, so that the cell is built from the same."""
        return self.run.pins if self.run else None


def find(config: Config, glob: str, trees: Sequence[str] = (), run_name: str = "") -> NamedCell:
    """Return the one cell that a glob over ids selects: of the run `run_name`, or else of the configuration.

    Where the glob names a tree that the configuration does not have, the newest run that has such a cell gives it.
    `trees` are words for the trees that the cell may be on. A run from elsewhere, which may say anything of its trees
    and recipes, gives no cell: the configuration does, whatever the run.

    Raises:
        UsageError: the glob selects no cell, or more than one; there is no such run or tree.

    """
    if run_name and ownership.is_own(run := store.find(run_name)):
        return _of_named_run(run, config, glob, trees)
    tree_name = selection.tree_of_glob(glob)
    if trees or not tree_name or tree_words.is_tree(config, tree_name):
        return NamedCell(selection.one_cell(config, glob, trees))
    return _of_newest_run(glob, tree_name)


def _of_named_run(run: Run, config: Config, glob: str, trees: Sequence[str]) -> NamedCell:
    ids = _on_trees(_ids(run, glob), [tree_words.tree(config, word).name for word in trees])
    if not ids:
        raise UsageError(f"run {run.name} has no cell {glob!r}", f"`perf-matrix report {run.name}` names its cells.")
    return _of_run(run, picked(run, ids))


def _on_trees(ids: Sequence[CellId], names: Sequence[str]) -> list[CellId]:
    """Return the cells on trees of these names or, without names, those on the usual tree where there are any."""
    if names:
        return [cell_id for cell_id in ids if cell_id.tree in names]
    on_usual_tree = [cell_id for cell_id in ids if cell_id.tree == selection.USUAL_TREE]
    return on_usual_tree or list(ids)


def _of_newest_run(glob: str, tree_name: str) -> NamedCell:
    for run in store.runs():
        ids = _ids(run, glob) if run.readable else []
        if ids:
            return _of_run(run, picked(run, ids))
    raise UsageError(
        f"no run of this machine has a cell {glob!r}, and no tree is called {tree_name!r}",
        "--tree gives a tree by its source, --run a run by its name or folder.",
    )


def _ids(run: Run, glob: str) -> list[CellId]:
    return [cell_id for cell_id in run.settings().cells if matches(cell_id, glob)]


def _of_run(run: Run, cell_id: CellId) -> NamedCell:
    [cell] = selection.on_trees(run.configuration(), [cell_id], run.settings().trees)
    return NamedCell(cell, run)


def picked(run: Run, found: Sequence[CellId]) -> CellId:
    """Return the only one of the cells that were found in a run.

    Raises:
        UsageError: there are several.

    """
    if len(found) > 1:
        raise UsageError(f"{len(found)} cells of run {run.name} are meant", choice(found))
    return found[0]


def choice(found: Sequence[CellId]) -> str:
    """Return the hint that names the first of the cells that were found."""
    shown = ", ".join(found[:SHOWN]) + (", …" if len(found) > SHOWN else "")
    return f"Name one of: {shown}"
