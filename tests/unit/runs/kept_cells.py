"""Results of one cell that runs built and entered in the index, for the tests of reuse."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

from matrix.model.result import StepResult, Verdict
from matrix.runs import reuse
from tests.unit.results import done
from tests.unit.runs.cell_contexts import CELL, context

if TYPE_CHECKING:
    from matrix.model.result import CellResult
    from matrix.runs.store import Run

KEY, TRANSCRIPT = "1" * 64, "2" * 64
SAMPLED = "00000014" + "2" * 56
PASSED = (StepResult(name="build", command="make", verdict=Verdict.PASS, processes=3),)
FAILED = (StepResult(name="build", command="make", verdict=Verdict.FAIL, processes=3),)


def built(run: Run, **more: Any) -> CellResult:
    """Return the stored result of a cell that a run built, with its transcript and a log."""
    keys = {"key": KEY, "transcript_key": TRANSCRIPT}
    result = done(CELL, **{"run": run.name, "verdict": Verdict.PASS, "steps": PASSED, "wall_s": 9.0, **keys, **more})
    run.transcript_path(CELL.id).parent.mkdir(parents=True)
    run.transcript_path(CELL.id).write_bytes(gzip.compress(b"facts"))
    (run.cell(CELL.id) / "logs").mkdir()
    (run.cell(CELL.id) / "logs" / "build.log").write_text("CC a.o\n")
    run.save(result)
    return result


def kept(**more: Any) -> tuple[Run, CellResult]:
    """Return a run with a result that is in the index, and the result."""
    where = context(CELL)
    result = built(where.run, **more)
    reuse.keep(result, where)
    return where.run, result


def begun(**more: Any) -> CellResult:
    """Return the result of a cell that has begun, with its keys."""
    values = {"key": KEY, "transcript_key": TRANSCRIPT, "run": "now", "reproduce": "again", "steps": (), **more}
    return done(CELL, **values)
