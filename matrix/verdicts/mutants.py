"""Planted faults: which of them the check that should find them found, and the score that follows. Pure."""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pydantic import Field

from matrix.errors import ExitStatus, UsageError, did_you_mean
from matrix.model.base import Frozen
from matrix.model.cell_id import Place
from matrix.model.result import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from matrix.model.cell_id import CellId
    from matrix.model.edit import Edit, Expected
    from matrix.model.result import CellResult, CheckResult

WANTED_SCORE = 0.95


class Detection(StrEnum):
    """The outcome of a planted fault in a cell, in the words of mutation testing.

    A control is the same cell with nothing planted: its checks must be silent.
    """

    KILLED = "killed"
    KILLED_BY_ANOTHER = "killed by another"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    NOT_EQUIVALENT = "said to be equivalent, but killed"
    SILENT = "control: silent"
    ALARM = "control: alarm"
    ERROR = "error"


class PlantedFault(Frozen):
    """A fault in one cell, or a control, which has no `fault`.

    `check` is the check that must find the fault, with findings that match `wanted`. `killers` maps each check that
    failed to the keys of its findings that are not known.
    """

    fault: str
    summary: str
    cell: Place
    check: str
    wanted: tuple[str, ...]
    fate: Detection
    killers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    reason: str = ""
    wall_s: float = 0.0


class MutantsResult(Frozen):
    """The outcome of a run of planted faults.

    `score` is the share of faults killed as intended among those that are not equivalent, None where there are none;
    `mean_s` is the time of all cells for each fault.
    """

    run: str
    tree: str
    score: float | None
    mean_s: float
    planted: tuple[PlantedFault, ...]

    @property
    def is_below_wanted(self) -> bool:
        """Whether the checks killed too few of the faults to be trusted."""
        return self.score is not None and self.score < WANTED_SCORE


def select_faults(edits: Mapping[str, Edit], tree: str, globs: Sequence[str]) -> tuple[Edit, ...]:
    """Return the faults for a tree (its name) whose names one of `globs` matches, sorted; all faults without globs.

    Raises:
        UsageError: the tree has no fault, or a glob matches none.

    """
    faults = [edits[name] for name in sorted(edits) if _is_fault_for(edits[name], tree)]
    if not faults:
        raise UsageError(f"no fault is meant for tree {tree!r}", "`trees` in configs/edits names what each applies to.")
    if not globs:
        return tuple(faults)
    _refuse_unmatched(globs, [edit.name for edit in faults])
    return tuple(edit for edit in faults if _matches_any(globs, [edit.name]))


def _refuse_unmatched(globs: Iterable[str], names: Sequence[str]) -> None:
    for glob in globs:
        if not _matches_any([glob], names):
            near = did_you_mean(glob, names)
            raise UsageError(f"--select {glob!r} selects no fault{near}", "`perf-matrix mutants --list` names them.")


def _is_fault_for(edit: Edit, tree: str) -> bool:
    return edit.expect is not None and _matches_any(edit.trees, [tree])


def _matches_any(globs: Iterable[str], names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs for name in names)


def faults_of_run(edits: Mapping[str, Edit], planted: Mapping[str, str]) -> tuple[Edit, ...]:
    """Return the faults of a run, which keeps the name and the digest of each.

    Raises:
        UsageError: a fault of the run is no longer in the configuration, or was changed there.

    """
    for name, digest in planted.items():
        if name not in edits or digests([edits[name]])[name] != digest:
            raise UsageError(f"the run planted {name}, which is no longer the same in configs/edits", "Begin anew.")
    return tuple(edits[name] for name in planted)


def wanted_cells(faults: Iterable[Edit], base: str) -> tuple[CellId, ...]:
    """Return the cells of a run: at each place of a fault the control on tree `base`, then the tree with the fault."""
    planted = [(place, edit.name) for edit in faults if edit.expect for place in edit.expect.cells]
    on_faults = {place.on(f"{base}+{name}") for place, name in planted}
    controls = {place.on(base) for place, _ in planted}
    return tuple(sorted(on_faults | controls, key=lambda cell_id: (cell_id.place, cell_id.tree)))


def checks_at(place: str, faults: Iterable[Edit]) -> tuple[str, ...]:
    """Return the names of the checks that must find the faults at a place, sorted; its control must pass them."""
    expected = [edit.expect for edit in faults if edit.expect]
    return tuple(sorted({expect.check for expect in expected if place in expect.cells}))


def digests(faults: Iterable[Edit]) -> dict[str, str]:
    """Return the digest of each fault's definition by its name."""
    return {edit.name: hashlib.sha256(edit.model_dump_json().encode()).hexdigest() for edit in faults}


def alarms(result: CellResult) -> dict[str, tuple[str, ...]]:
    """Return the keys of the new findings of each check of a cell, or its reason if it fails without a finding.

    A known failure that no longer occurs is no fault of the tree, so it is left out.
    """
    found = {check.check: _alarms_of(check) for check in result.checks}
    return {check: keys for check, keys in found.items() if keys}


def _alarms_of(check: CheckResult) -> tuple[str, ...]:
    if check.examined_nothing:
        return (check.reason,)
    return tuple(finding.key for finding in check.new_findings if not finding.is_gone_entry)


def planted_fault(edit: Edit, expect: Expected, place: Place, result: CellResult | None) -> PlantedFault:
    """Return the outcome of a fault in a cell; `expect` is that of the edit."""
    row = PlantedFault(
        fault=edit.name,
        summary=edit.summary,
        cell=place,
        check=expect.check,
        wanted=expect.findings,
        fate=Detection.ERROR,
    )
    if result is None or result.verdict == Verdict.ERROR:
        return row.model_copy(update={"reason": _error(result)})
    killers = alarms(result)
    check = result.check(expect.check)
    has_no_say = result.verdict == Verdict.SKIP or not killers
    if check and check.skipped and has_no_say:
        return row.model_copy(update={"reason": check.reason})
    if result.verdict == Verdict.SKIP:
        return row.model_copy(update={"reason": result.reason})
    detection = _detection(edit, expect, check, killers)
    facts = {"fate": detection, "killers": killers, "wall_s": result.wall_s, "reason": edit.equivalent}
    return row.model_copy(update=facts)


def control(place: Place, result: CellResult | None) -> PlantedFault:
    """Return the outcome of a cell in which no fault was planted."""
    row = PlantedFault(fault="", summary="nothing planted", cell=place, check="", wanted=(), fate=Detection.ERROR)
    if result is None or result.verdict in (Verdict.ERROR, Verdict.SKIP):
        return row.model_copy(update={"reason": _error(result)})
    killers = alarms(result)
    is_silent = not killers and result.verdict != Verdict.FAIL
    detection = Detection.SILENT if is_silent else Detection.ALARM
    return row.model_copy(update={"fate": detection, "killers": killers, "wall_s": result.wall_s})


def _error(result: CellResult | None) -> str:
    return result.reason if result else "the cell has no result"


def _detection(
    edit: Edit, expect: Expected, check: CheckResult | None, killers: Mapping[str, tuple[str, ...]]
) -> Detection:
    """Return whether a fault was killed, by the result of the check that must find it and the alarms of every check."""
    is_killed = bool(killers)
    if edit.equivalent:
        return Detection.NOT_EQUIVALENT if is_killed else Detection.EQUIVALENT
    if check and _has_all_findings(check, expect):
        return Detection.KILLED
    return Detection.KILLED_BY_ANOTHER if is_killed else Detection.SURVIVED


def _has_all_findings(check: CheckResult, expect: Expected) -> bool:
    """Return whether each expected glob over finding keys matches a new finding with the expected evidence."""
    texts = [(finding.key, f"{finding.actual}\n{finding.evidence}") for finding in check.new_findings]
    keys = [key for key, text in texts if re.search(expect.evidence, text)]
    return all(_matches_any([glob], keys) for glob in expect.findings)


def mutants_result(run: str, base: str, faults: Sequence[Edit], results: Mapping[CellId, CellResult]) -> MutantsResult:
    """Return the outcome of a run's faults and controls; the time is that of all its cells, the controls included."""
    rows = [row for edit in faults for row in _rows(edit, base, results)]
    places = dict.fromkeys(row.cell for row in rows)
    controls = [control(place, results.get(place.on(base))) for place in places]
    planted = (*controls, *rows)
    mean_s = _total_s(planted) / len(rows) if rows else 0.0
    return MutantsResult(run=run, tree=base, score=_score(rows), mean_s=round(mean_s, 1), planted=planted)


def _total_s(rows: Iterable[PlantedFault]) -> float:
    return sum(row.wall_s for row in rows)


def _rows(edit: Edit, base: str, results: Mapping[CellId, CellResult]) -> Iterator[PlantedFault]:
    """Yield the outcome of a fault in each of its cells."""
    if edit.expect is None:
        return
    for place in edit.expect.cells:
        yield planted_fault(edit, edit.expect, place, results.get(place.on(f"{base}+{edit.name}")))


def _score(rows: Iterable[PlantedFault]) -> float | None:
    """Return the share of the decided faults that were killed as intended; None where no fault was decided."""
    decided = [row.fate for row in rows if row.fate not in (Detection.EQUIVALENT, Detection.ERROR)]
    return round(decided.count(Detection.KILLED) / len(decided), 4) if decided else None


def exit_status(found: MutantsResult) -> ExitStatus:
    """Return the program's exit status: CELLS_FAILED where the checks cannot be trusted.

    INFRASTRUCTURE where a cell is an error, or no fault was decided.
    """
    detections = {row.fate for row in found.planted}
    if not detections.isdisjoint({Detection.ALARM, Detection.NOT_EQUIVALENT}) or found.is_below_wanted:
        return ExitStatus.CELLS_FAILED
    if found.score is None or Detection.ERROR in detections:
        return ExitStatus.INFRASTRUCTURE
    return ExitStatus.OK
