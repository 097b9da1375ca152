"""The report of a run directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.model.result import RequirementVerdict, Verdict
from matrix.reports import Report, Unfinished, build
from matrix.runs import schedule
from matrix.runs.run_kind import GateRun, SeriesRun
from matrix.verdicts import regressions, series
from matrix.verdicts.regressions import Gate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.model.result import CellResult
    from matrix.runs.store import Run, RunSettings


def of_run(run: Run) -> Report:
    """Return the report of a run as it stands."""
    settings = run.settings()
    results = list(run.results())
    report = build(run.name, str(run.folder), settings.trees, settings.cells, results)
    report = report.model_copy(update={"unfinished": _unfinished(run, settings, results)})
    if isinstance(settings.kind, SeriesRun):
        rows = series.patch_results(settings.kind.patches, settings.cells, {result.id: result for result in results})
        subjects = {step.tree: step.subject for step in settings.kind.patches}
        held = tuple(one for row in rows for one in row.held)
        found = Gate(base=settings.base, head=f"{len(rows)} patches", held=held, subjects=subjects)
    elif isinstance(settings.kind, GateRun):
        head = settings.kind.head
        held = regressions.compare_trees(results, settings.cells, settings.base, head)
        unmeasured = RequirementVerdict(Verdict.ERROR, "it was not measured")
        required = dict.fromkeys(settings.kind.require, unmeasured) | run.required()
        found = Gate(base=settings.base, head=head, held=held, required=required)
    else:
        return report
    return report.model_copy(update={"gate": found, "verdict": found.verdict})


def _unfinished(run: Run, settings: RunSettings, results: Sequence[CellResult]) -> Unfinished | None:
    """Return the work that is left of a run; nothing where each cell has a result that --resume would keep."""
    lacking = schedule.lacking(settings.cells, {result.id: result for result in results})
    if not lacking:
        return None
    command = f"perf-matrix {settings.kind.command} --resume {run.name}"
    return Unfinished(lacking=lacking, cells=len(settings.cells), command=command)
