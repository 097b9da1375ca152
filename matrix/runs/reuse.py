"""Reuses an earlier run's result for a cell of the same key, and compares with it where the cell is built again."""

from __future__ import annotations

import contextlib
import filecmp
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.model.result import Reused, Verdict
from matrix.runs import cell_files, judgement, kept_results, kernel_types, program_files
from matrix.verdicts import result_key

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.cell import Cell
    from matrix.model.result import CellResult, ImageIdentity, TreeIdentity
    from matrix.runs.cell_run import Context
    from matrix.runs.store import Run
    from matrix.scenario.plan import Scenario


OWN = ("id", "run", "definition", "key", "transcript_key", "image", "tree", "reproduce")
"""The fields that a result has of its own where an earlier one is reused for it."""


@dataclass(frozen=True)
class Surroundings:
    """All that a cell's transcript depends on beside its scenario; `host` has the facts of Engine.describe."""

    image: ImageIdentity
    tree: TreeIdentity
    host: dict[str, str]


def transcript_key(scenario: Scenario, found: Surroundings) -> str:
    """Return the key of a cell's transcript (see result_key.transcript_key), or nothing where it cannot be known."""
    types = kernel_types.digest(scenario.cell, found.host)
    if types is None:
        return ""
    host = {**found.host, "btf_sha256": types}
    return result_key.transcript_key(program_files.digest(), scenario, found.image.digest, found.tree.sha256, host)


def result_key_of(transcript: str, cell: Cell, context: Context) -> str:
    """Return the key of a cell's result, or nothing where that of the transcript on the base tree is not known."""
    base = context.base.result(cell)
    base_key = _base_key(base, context.run) if base else ""
    if not transcript or base_key is None:
        return ""
    return result_key.result_key(transcript, cell, context.known, base_key)


def _base_key(base: CellResult, run: Run) -> str | None:
    """Return the key of the transcript on the base tree; None where it cannot be told from another one of that key.

    A result says its key itself, and may come from another machine: its transcript has to be the one in the index.
    """
    if base.verdict == Verdict.SKIP and not base.steps:  # nothing is compared with it, whatever it was skipped for
        return base.verdict
    kept = kept_results.find(base.transcript_key) if result_key.may_be_reused(base) else None
    return base.transcript_key if kept and _are_same(kept.transcript, run.transcript_path(base.id)) else None


def _are_same(one: Path, other: Path) -> bool:
    """Return whether two files are one, or have the same content."""
    try:
        return one.samefile(other) or filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def adopted(begun: CellResult, context: Context, *, exact: bool = False) -> CellResult | None:
    """Return an earlier result as that of a cell that has begun, its transcript and logs in the run's folder.

    Where only the key of the transcript is the same, the transcript is judged again: by today's known failures, for the
    cell's own tree and base. None is returned where there is no such result, where the cell is to be built all the
    same, or where a transcript would have to be judged again though `exact`.

    Raises:
        InfrastructureError: the transcript on the base tree cannot be read.

    """
    if context.fresh or not _is_settled(begun.transcript_key):
        return None
    try:
        return _adopted(begun, context, exact=exact)
    except OSError:  # somebody removes the run that has it, or nothing can be written, which the cell's own run says
        return None


def _is_settled(key: str) -> bool:
    """Return whether the index has the key of a transcript, and its cell need not be built a second time.

    A FAIL may be one by chance: as the result of a base it would excuse each head that breaks the same thing.
    """
    kept = kept_results.find(key)
    if kept is None:
        return False
    return kept.confirmed or not (kept.doubtful or result_key.is_sampled(key))


def _adopted(begun: CellResult, context: Context, *, exact: bool) -> CellResult | None:
    same = _found(begun.key)
    if same:
        return _as_own(same, begun, context)
    recorded = None if exact else _found(begun.transcript_key)
    if recorded is None:
        return None
    result = _as_own(recorded, begun, context, judged_again=True)
    cell = begun.definition
    assert cell is not None
    return judgement.judged(result, context.run, cell, context.known, context.base.transcript(cell))


def _found(key: str) -> tuple[Run, CellResult] | None:
    """Return the result of a key and the run that has it; an entry of the index whose result is gone is removed."""
    kept = kept_results.find(key)
    if kept is None:
        return None
    result = kept.result()
    if result is None:
        kept_results.forget(key)
        return None
    return kept.run, result


def _as_own(
    found: tuple[Run, CellResult], begun: CellResult, context: Context, *, judged_again: bool = False
) -> CellResult:
    """Return a result that was found as that of a cell which has begun, its files copied."""
    run, result = found
    cell_files.share(run, result.id, context.run, begun.id)
    origin = result.reused or Reused(run=result.run, cell=result.id)
    origin = origin.model_copy(update={"judged_again": origin.judged_again or judged_again})
    own = {name: getattr(begun, name) for name in OWN}
    return result.model_copy(update={**own, "reused": origin})


def compared(result: CellResult) -> CellResult:
    """Return the result of a cell that was built, with a finding on each difference from an earlier one of its key."""
    before = _found(result.transcript_key) if result_key.may_be_compared(result) else None
    return result_key.compared(result, before[1]) if before else result


def keep(result: CellResult, context: Context) -> None:
    """Enter a stored result in the index; a key whose results differ, or whose cell fails in a step, has no entry.

    A result that cannot be entered, as on a full disk, is not reused.
    """
    with contextlib.suppress(OSError):
        if any(result_key.differences(result)) or _has_failed_now(result):
            for key in filter(None, (result.key, result.transcript_key)):
                kept_results.forget(key)
        elif result_key.may_be_reused(result):
            _enter(result, context.run)


def _has_failed_now(result: CellResult) -> bool:
    return result_key.may_be_compared(result) and result_key.has_failed_step(result)


def _enter(result: CellResult, run: Run) -> None:
    if result.key:
        kept_results.note(result.key, run, result)
    if result.reused is None:
        kept_results.note(result.transcript_key, run, result, confirmed=bool(result.compared_with))
