"""What became of planted faults: killed by the check that should, by another, or survived. Pure."""

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
    from collections.abc import Iterable, Mapping, Sequence

    from matrix.model.cell_id import CellId
    from matrix.model.edit import Edit
    from matrix.model.result import CellResult

WANTED_SCORE = 0.95


class Fate(StrEnum):
    """What became of a fault in a cell; a control is the same cell with nothing planted."""

    KILLED = "killed"
    KILLED_BY_ANOTHER = "killed by another"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    NOT_EQUIVALENT = "said to be equivalent, but killed"
    SILENT = "control: silent"
    ALARM = "control: alarm"
    ERROR = "error"


class Planted(Frozen):
    """A fault in one cell. `killers` maps each check that failed to the keys of its findings that are not known."""

    fault: str
    summary: str
    cell: Place
    check: str
    wanted: tuple[str, ...]
    fate: Fate
    killers: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    reason: str = ""
    wall_s: float = 0.0


class Trust(Frozen):
    """What a run of planted faults came to. `score` is killed as intended by non-equivalent; times are seconds."""

    run: str
    tree: str
    score: float | None
    mean_s: float
    planted: tuple[Planted, ...]


def faults(edits: Mapping[str, Edit], base: str, globs: Sequence[str]) -> tuple[Edit, ...]:
    """Return the edits that are faults for tree `base` and that one of `globs` selects; all without globs.

    Raises:
        UsageError: there is none for the tree, or a glob selects nothing.

    """
    there = [edit for edit in edits.values() if edit.expect and any(fnmatchcase(base, glob) for glob in edit.trees)]
    if not there:
        raise UsageError(f"no fault is meant for tree {base!r}", "`trees` in configs/edits names what each applies to.")
    for glob in globs:
        if not any(fnmatchcase(edit.name, glob) for edit in there):
            near = did_you_mean(glob, (edit.name for edit in there))
            raise UsageError(f"--select {glob!r} selects no fault{near}", "`perf-matrix mutants --list` names them.")
    chosen = [edit for edit in there if not globs or any(fnmatchcase(edit.name, glob) for glob in globs)]
    return tuple(sorted(chosen, key=lambda edit: edit.name))


def of_run(edits: Mapping[str, Edit], planted: Mapping[str, str]) -> tuple[Edit, ...]:
    """Return the faults of a run, which noted the digest of each that it planted.

    Raises:
        UsageError: one of them is no longer there, or another now.

    """
    for name, digest in planted.items():
        if name not in edits or digests([edits[name]])[name] != digest:
            raise UsageError(f"the run planted {name}, which is no longer the same in configs/edits", "Begin anew.")
    return tuple(edits[name] for name in planted)


def wanted_cells(chosen: Iterable[Edit], base: str) -> tuple[str, ...]:
    """Return the ids of the cells that faults are planted in, with a control of each kind, sorted to follow it."""
    places = {(place, f"{base}+{edit.name}") for edit in chosen if edit.expect for place in edit.expect.cells}
    controls = {(place, base) for place, _ in places}
    return tuple(place.on(tree) for place, tree in sorted(places | controls))


def checks_at(place: str, chosen: Iterable[Edit]) -> tuple[str, ...]:
    """Return the checks that the faults of a place are to be found by, which its control must pass."""
    return tuple(sorted({edit.expect.check for edit in chosen if edit.expect and place in edit.expect.cells}))


def digests(chosen: Iterable[Edit]) -> dict[str, str]:
    """Return what tells whether a fault is still the one that a run planted."""
    return {edit.name: hashlib.sha256(edit.model_dump_json().encode()).hexdigest() for edit in chosen}


def alarms(result: CellResult) -> dict[str, tuple[str, ...]]:
    """Return the findings of each check that are not known; a known one that is gone accuses nobody."""
    found = {
        check.check: tuple(
            finding.key for finding in check.findings if not finding.known and finding.kind != "known-failure-gone"
        )
        or ((check.reason,) if check.verdict == Verdict.FAIL and not check.findings else ())
        for check in result.checks
    }
    return {check: keys for check, keys in found.items() if keys}


def became(edit: Edit | None, place: Place, result: CellResult | None) -> Planted:
    """Return what became of a fault in a cell or, without an edit, whether the cell as it is was silent."""
    row = Planted(fault="", summary="nothing planted", cell=place, check="", wanted=(), fate=Fate.ERROR)
    expect = edit.expect if edit else None
    if edit and expect:
        what = {"fault": edit.name, "summary": edit.summary, "check": expect.check, "wanted": expect.findings}
        row = row.model_copy(update=what)
    if result is None or result.verdict == Verdict.ERROR:
        reason = result.reason if result else "the cell has no result"
        return row.model_copy(update={"reason": reason})
    killers = alarms(result)
    facts = {"fate": _fate(edit, killers, result), "killers": killers, "wall_s": result.wall_s}
    silent = [check for check in result.checks if check.check == row.check and check.verdict == Verdict.SKIP]
    if result.verdict == Verdict.SKIP or (silent and not killers):
        return row.model_copy(update={"reason": silent[0].reason if silent else result.reason})
    return row.model_copy(update={**facts, "reason": edit.equivalent if edit else ""})


def _fate(edit: Edit | None, killers: Mapping[str, tuple[str, ...]], result: CellResult) -> Fate:
    if edit is None or edit.expect is None:
        return Fate.ALARM if killers or result.verdict == Verdict.FAIL else Fate.SILENT
    if edit.equivalent:
        return Fate.NOT_EQUIVALENT if killers else Fate.EQUIVALENT
    said = [
        (finding.key, f"{finding.actual}\n{finding.evidence}")
        for check in result.checks
        for finding in check.findings
        if check.check == edit.expect.check and not finding.known
    ]
    if all(
        any(fnmatchcase(key, glob) and re.search(edit.expect.evidence, text) for key, text in said)
        for glob in edit.expect.findings
    ):
        return Fate.KILLED
    return Fate.KILLED_BY_ANOTHER if killers else Fate.SURVIVED


def trust(run: str, base: str, chosen: Sequence[Edit], results: Mapping[CellId, CellResult]) -> Trust:
    """Return what became of the faults of a run; the time is over all its cells, those built to plant on included."""
    rows = [
        became(edit, place, results.get(place.on(f"{base}+{edit.name}")))
        for edit in chosen
        if edit.expect
        for place in edit.expect.cells
    ]
    places = dict.fromkeys(row.cell for row in rows)
    controls = [became(None, place, results.get(place.on(base))) for place in places]
    counted = [row for row in rows if row.fate not in (Fate.EQUIVALENT, Fate.ERROR)]
    killed = sum(row.fate == Fate.KILLED for row in counted)
    whole_s = sum(row.wall_s for row in (*rows, *controls))
    return Trust(
        run=run,
        tree=base,
        score=round(killed / len(counted), 4) if counted else None,
        mean_s=round(whole_s / len(rows), 1) if rows else 0.0,
        planted=(*controls, *rows),
    )


def exit_status(found: Trust) -> ExitStatus:
    """Return the process's exit status: 0 as it should be, 1 checks that cannot be trusted, 3 the infrastructure."""
    fates = {row.fate for row in found.planted}
    if fates & {Fate.ALARM, Fate.NOT_EQUIVALENT} or (found.score is not None and found.score < WANTED_SCORE):
        return ExitStatus.CELLS_FAILED
    undecided = Fate.ERROR in fates or found.score is None
    return ExitStatus.INFRASTRUCTURE if undecided else ExitStatus.OK
