"""The circumstances in which unit tests run one cell: a run directory, and no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrix.config import load
from matrix.model.cell import Limits
from matrix.runs import cell_run, kept_builds, store
from matrix.runs.judgement import BaseCells
from tests.unit.conftest import cell

if TYPE_CHECKING:
    from matrix.model.cell import Cell

LOADED = load.load()
CELL = cell(of=LOADED.images["debian-trixie-min"], what=LOADED.builds["minimal"], on=LOADED.trees["7.3"])
NO_ENGINE: Any = None


def context(of: Cell, **more: Any) -> cell_run.Context:
    """Return the context of a cell, in a run of its own."""
    run = store.begin([of], [of.tree.name], [], 2)
    kept = kept_builds.KeptBuilds(NO_ENGINE, run, 2, Limits())
    base = more.pop("base", BaseCells(run, ""))
    return cell_run.Context(run, NO_ENGINE, 2, Limits(), (), print, kept, base, **more)
