"""The rows of the table of runs, from their directories."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from matrix.errors import UsageError
from matrix.model.result import Verdict
from matrix.reports.tables.runs import RunRow
from matrix.runs import detached, locks

if TYPE_CHECKING:
    from matrix.runs.store import Run


def row(run: Run) -> RunRow:
    """Return the row of a run; a run that cannot be read has one with its command UNREADABLE, and the reason."""
    is_being_done = locks.is_being_done(run)
    going_on = is_being_done or detached.is_detached(run)
    bare = RunRow(run=run.name, folder=str(run.folder), going_on=going_on)
    try:
        settings = run.settings()
        verdicts = Counter(result.verdict for result in run.results())
    except UsageError as error:  # as of another version of this program, whose runs are beside ours
        return bare.model_copy(update={"problem": error.message})
    if is_being_done:
        del verdicts[Verdict.ERROR]  # the result of a cell that was begun, until it ends
    facts = {
        "command": settings.kind.kind,
        "started": settings.started,
        "trees": settings.trees,
        "cells": len(settings.cells),
        "verdicts": dict(verdicts),
        "lacking": len(settings.cells) - sum(verdicts.values()),
    }
    return bare.model_copy(update=facts)
