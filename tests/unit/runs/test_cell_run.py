"""The result of a cell whose run fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix.config import load
from matrix.model.cell import Limits
from matrix.model.result import Verdict
from matrix.runs import cell_run, kept_builds, store
from matrix.runs.judgement import BaseCells
from tests.unit.conftest import cell

if TYPE_CHECKING:
    from matrix.model.cell import Cell

pytestmark = pytest.mark.usefixtures("places")
LOADED = load.load()
CELL = cell(of=LOADED.images["debian-trixie-min"], what=LOADED.builds["minimal"], on=LOADED.trees["7.3"])
NO_ENGINE: Any = None


class HostileError(Exception):
    """An error whose representation would steer a terminal."""

    def __repr__(self) -> str:
        return "HostileError(\x1b[2J\nx)"


def context(of: Cell) -> cell_run.Context:
    run = store.begin([of], [of.tree.name], [], 2)
    kept = kept_builds.KeptBuilds(NO_ENGINE, run, 2, Limits())
    return cell_run.Context(run, NO_ENGINE, 2, Limits(), (), print, kept, BaseCells(run, ""))


def test_an_internal_error_is_the_stored_result_and_its_traceback_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise HostileError

    monkeypatch.setattr(cell_run, "_ended", broken)
    where = context(CELL)
    result = cell_run.run(CELL, where)
    assert (result.verdict, result.reason) == (Verdict.ERROR, "internal error: HostileError(?[2J?x)")
    assert where.run.result(CELL.id) == result
    at = where.run.at(CELL.id)
    assert at is not None
    assert not at[0]
    log = (where.run.cell(CELL.id) / "logs" / cell_run.TRACEBACK).read_text()
    assert log.startswith("Traceback")
    assert "in broken" in log


def test_an_interrupt_of_a_cell_is_no_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cell_run, "_ended", interrupted)
    where = context(CELL)
    with pytest.raises(KeyboardInterrupt):
        cell_run.run(CELL, where)
    kept = where.run.result(CELL.id)
    assert kept is not None
    assert kept.reason == "the cell was begun and did not end"
