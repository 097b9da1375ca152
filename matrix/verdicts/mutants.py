"""Planted faults: which of them the check that should find them found, and the score that follows. Pure."""

from __future__ import annotations

import hashlib
import itertools
import re
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import Field

from matrix.errors import ExitStatus, UsageError, did_you_mean
from matrix.model.base import Frozen
from matrix.model.cell_id import Place
from matrix.model.globs import matches_any, selects_any
from matrix.model.result import Verdict, is_decided

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from matrix.model.cell_id import CellId
    from matrix.model.edit import Edit, Expected
    from matrix.model.result import CellResult, CheckResult

WANTED_SCORE = 0.95
"""The least share of planted faults that the checks must kill to be trusted: docs/trust.md."""


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

    @property
    def detections(self) -> set[Detection]:
        """The outcomes that occur."""
        return {row.fate for row in self.planted}

    @property
    def discredits_checks(self) -> bool:
        """Whether the checks cannot be trusted: they failed where nothing is to be found, or killed too few faults."""
        has_false_alarm = not self.detections.isdisjoint({Detection.ALARM, Detection.NOT_EQUIVALENT})
        return has_false_alarm or self.is_below_wanted

    @property
    def is_decided(self) -> bool:
        """Whether a fault was decided, and no cell is an error."""
        return self.score is not None and Detection.ERROR not in self.detections


def select_faults(edits: Mapping[str, Edit], tree: str, globs: Sequence[str]) -> tuple[Edit, ...]:
    """Return the faults for a tree (its name) whose names one of `globs` matches, sorted; all faults without globs.

    Raises:
        UsageError: the tree has no fault, or a glob matches none.

    """
    faults = tuple(edits[name] for name in sorted(edits) if _is_fault_for(edits[name], tree))
    if not faults:
        raise UsageError(f"no fault is meant for tree {tree!r}", "`trees` of an edit in configs/edits names its trees.")
    return _matching(faults, globs) if globs else faults


def _matching(faults: Sequence[Edit], globs: Sequence[str]) -> tuple[Edit, ...]:
    """Return the faults whose names one of the globs matches; each glob must match one."""
    _refuse_unmatched(globs, [edit.name for edit in faults])
    return tuple(edit for edit in faults if matches_any(edit.name, globs))


def _refuse_unmatched(globs: Iterable[str], names: Sequence[str]) -> None:
    for glob in globs:
        if not selects_any(glob, names):
            near = did_you_mean(glob, names)
            raise UsageError(f"--select {glob!r} selects no fault{near}", "`perf-matrix mutants --list` names them.")


def _is_fault_for(edit: Edit, tree: str) -> bool:
    return edit.expect is not None and matches_any(tree, edit.trees)


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
    if check.examined_nothing:  # it fails without any finding
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
    if not is_decided(result):
        return row.model_copy(update={"reason": _error(result)})
    killers = alarms(result)
    check = result.check(expect.check)
    # A skipped check says nothing on the fault, unless another check killed it.
    has_no_say = result.verdict == Verdict.SKIP or not killers
    if check and check.skipped and has_no_say:
        return row.model_copy(update={"reason": check.reason})
    if result.verdict == Verdict.SKIP:
        return row.model_copy(update={"reason": result.reason})
    detection = _detection(edit, expect, check, killers)
    facts = {"fate": detection, "killers": killers, "wall_s": result.took_s, "reason": edit.equivalent}
    return row.model_copy(update=facts)


def control(place: Place, result: CellResult | None) -> PlantedFault:
    """Return the outcome of a cell in which no fault was planted."""
    row = PlantedFault(fault="", summary="nothing planted", cell=place, check="", wanted=(), fate=Detection.ERROR)
    if not is_decided(result) or result.verdict == Verdict.SKIP:
        return row.model_copy(update={"reason": _error(result)})
    killers = alarms(result)
    detection = Detection.ALARM if _is_false_alarm(result) else Detection.SILENT
    return row.model_copy(update={"fate": detection, "killers": killers, "wall_s": result.took_s})


def _is_false_alarm(control: CellResult) -> bool:
    return bool(alarms(control)) or control.verdict == Verdict.FAIL


def _error(result: CellResult | None) -> str:
    return result.reason if result else "the cell has no result"


def _detection(
    edit: Edit, expect: Expected, check: CheckResult | None, killers: Mapping[str, tuple[str, ...]]
) -> Detection:
    """Return whether a fault was killed, by the result of the check that must find it and the alarms of every check."""
    if edit.equivalent:
        return Detection.NOT_EQUIVALENT if killers else Detection.EQUIVALENT
    return _detection_of_real_fault(expect, check, killers)


def _detection_of_real_fault(
    expect: Expected, check: CheckResult | None, killers: Mapping[str, tuple[str, ...]]
) -> Detection:
    # All the expected findings: a check that fails for another reason did not find the fault.
    if check and _has_all_findings(check, expect):
        return Detection.KILLED
    return Detection.KILLED_BY_ANOTHER if killers else Detection.SURVIVED


def _has_all_findings(check: CheckResult, expect: Expected) -> bool:
    """Return whether each expected glob over finding keys matches a new finding with the expected evidence."""
    texts = [(finding.key, f"{finding.actual}\n{finding.evidence}") for finding in check.new_findings]
    keys = [key for key, text in texts if re.search(expect.evidence, text)]
    return all(selects_any(glob, keys) for glob in expect.findings)


def mutants_result(run: str, base: str, faults: Sequence[Edit], results: Mapping[CellId, CellResult]) -> MutantsResult:
    """Return the outcome of a run's faults and controls; the time is that of all its cells, the controls included."""
    rows = tuple(itertools.chain.from_iterable(_rows(edit, base, results) for edit in faults))
    controls = _controls(rows, base, results)
    return MutantsResult(
        run=run,
        tree=base,
        score=_score(rows),
        mean_s=_mean_s(rows, controls),
        planted=(*controls, *rows),
    )


def _controls(
    rows: Iterable[PlantedFault], base: str, results: Mapping[CellId, CellResult]
) -> tuple[PlantedFault, ...]:
    """Return the outcome of the control at each place where a fault was planted."""
    places = dict.fromkeys(row.cell for row in rows)
    return tuple(control(place, results.get(place.on(base))) for place in places)


def _mean_s(rows: Sequence[PlantedFault], controls: Sequence[PlantedFault]) -> float:
    if not rows:
        return 0.0
    total_s = sum(row.wall_s for row in (*controls, *rows))
    return round(total_s / len(rows), 1)


def _rows(edit: Edit, base: str, results: Mapping[CellId, CellResult]) -> Iterator[PlantedFault]:
    """Yield the outcome of a fault in each of its cells."""
    if edit.expect is None:
        return
    for place in edit.expect.cells:
        yield planted_fault(edit, edit.expect, place, results.get(place.on(f"{base}+{edit.name}")))


def _score(rows: Iterable[PlantedFault]) -> float | None:
    """Return the share of the decided faults that were killed as intended; None where no fault was decided."""
    # An equivalent fault changes nothing that could be found, as in mutation testing, so it counts for neither side.
    decided = [row.fate for row in rows if row.fate not in (Detection.EQUIVALENT, Detection.ERROR)]
    return round(decided.count(Detection.KILLED) / len(decided), 4) if decided else None


def exit_status(found: MutantsResult) -> ExitStatus:
    """Return the program's exit status: CELLS_FAILED where the checks cannot be trusted.

    INFRASTRUCTURE where a cell is an error, or no fault was decided.
    """
    if found.discredits_checks:
        return ExitStatus.CELLS_FAILED
    return ExitStatus.OK if found.is_decided else ExitStatus.INFRASTRUCTURE
