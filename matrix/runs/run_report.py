"""The report of a run directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.model.result import RequirementVerdict, Verdict
from matrix.reports import NOT_YET_MEASURED, Report, Unfinished, build
from matrix.runs import detached, launch, locks, schedule
from matrix.runs.run_kind import GateRun, SeriesRun
from matrix.verdicts import regressions, series
from matrix.verdicts.regressions import Gate
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.model.result import CellResult
    from matrix.runs.run_settings import RunSettings
    from matrix.runs.store import Run

NO_EVIDENCE = "no check examined anything in a cell of the head, which proves nothing: an ERROR"
_NOT_MEASURED = RequirementVerdict(Verdict.ERROR, "it was not measured")


def of_run(run: Run) -> Report:
    """Return the report of a run as it stands; a cell that runs now is missing in it."""
    is_going_on = locks.is_being_done_elsewhere(run) or detached.is_detached(run)
    settings = run.settings()
    kept = list(run.results())  # read once: a live run writes them
    # A begun cell's ERROR is a placeholder while a process runs it, and its result where none does.
    running = tuple(result.id for result in kept if is_going_on and schedule.is_begun(result))
    results = [result for result in kept if result.id not in running]
    report = build(run.name, str(run.folder), settings.trees, settings.cells, results)
    gate = _gate(run, settings, results, NOT_YET_MEASURED if is_going_on else _NOT_MEASURED)
    unfinished = _unfinished(run, settings, results, gate)
    if unfinished and is_going_on:
        unfinished = unfinished.model_copy(update={"running": running})
    report = report.model_copy(update={"unfinished": unfinished})
    return report if gate is None else _with_gate(report, gate)


def _with_gate(report: Report, gate: Gate) -> Report:
    """Return a report with its gate, and a note where the gate of a finished run proves nothing."""
    is_open = report.unfinished is not None
    notes = report.notes if gate.has_evidence or is_open else (*report.notes, NO_EVIDENCE)
    return report.model_copy(update={"gate": gate, "verdict": gate.verdict, "notes": notes})


def _gate(
    run: Run, settings: RunSettings, results: Sequence[CellResult], unmeasured: RequirementVerdict
) -> Gate | None:
    """Return the comparison of a run's cells with the base's; nothing for a run whose cells are judged alone.

    `unmeasured` is the verdict on requirements whose measurement the run does not have.
    """
    if isinstance(settings.kind, SeriesRun):
        return _gate_of_series(settings, settings.kind, results)
    if isinstance(settings.kind, GateRun):
        return _gate_of_head(run, settings, settings.kind, results, unmeasured)
    return None


def _gate_of_series(settings: RunSettings, kind: SeriesRun, results: Sequence[CellResult]) -> Gate:
    patches = series.patch_results(kind.patches, settings.cells, {result.id: result for result in results})
    held = tuple(comparison for patch in patches for comparison in patch.held)
    subjects = {patch.tree: patch.subject for patch in kind.patches}
    return Gate(base=settings.base, head=count(len(patches), "patch", "patches"), held=held, subjects=subjects)


def _gate_of_head(
    run: Run, settings: RunSettings, kind: GateRun, results: Sequence[CellResult], unmeasured: RequirementVerdict
) -> Gate:
    held = regressions.compare_trees(results, settings.cells, settings.base, kind.head)
    required = dict.fromkeys(kind.require, unmeasured) | run.required()
    return Gate(base=settings.base, head=kind.head, held=held, required=required)


def _unfinished(run: Run, settings: RunSettings, results: Sequence[CellResult], gate: Gate | None) -> Unfinished | None:
    """Return the work that is left of a run.

    Nothing is left where each cell has a result that --resume would keep, and no measurement is still to come.
    """
    lacking = schedule.lacking(settings.cells, {result.id: result for result in results})
    awaits_measurement = gate is not None and NOT_YET_MEASURED in gate.required.values()
    if not lacking and not awaits_measurement:
        return None
    return Unfinished(lacking=lacking, cells=len(settings.cells), command=launch.resume_command(run))
