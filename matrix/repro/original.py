"""The original: the result to reproduce or to bundle, from a run of this machine, from a file or from a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import UsageError, did_you_mean
from matrix.model.cell import matches
from matrix.model.result import Verdict
from matrix.repro import bundle, fetch
from matrix.runs import ownership, store
from matrix.runs.named_cell import choice, picked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.model.cell_id import CellId
    from matrix.model.result import CellResult
    from matrix.runs.store import Run
    from matrix.trees.sources import Say

NEWEST = 5
"""The number of runs from whose cells a mistyped cell's name is guessed; more would only make the error slow."""


@dataclass(frozen=True)
class Original:
    """The result that a reproduction or a bundle begins with.

    `own` is the result's run, if that is one of this machine: only such a result is trusted. `logs` is the folder of
    the result's logs, `patch` the patch of its bundle on its tree.
    """

    result: CellResult
    own: Run | None = None
    logs: Path | None = None
    patch: bytes | None = None


def find(result: str, bundle_place: str, run_name: str, say: Say) -> Original:
    """Return the original that the words of `repro` name: a bundle, a result's file, or a cell that was run here.

    `result` is a result's file or a cell's glob, `bundle_place` a bundle's file or address. A cell's result is that of
    the run `run_name`, or else the newest.

    Raises:
        UsageError: the words exclude each other, or what they name does not exist.
        InfrastructureError: a bundle could not be fetched.

    """
    _refuse_none_or_both(result, bundle_place)
    if bundle_place or Path(result).is_file():
        return _of_bundle_or_file(result, bundle_place, run_name, say)
    return of_cell(result, run_name)


def _of_bundle_or_file(result: str, bundle_place: str, run_name: str, say: Say) -> Original:
    if run_name:
        raise UsageError("--run goes with a cell only", "A file and a bundle hold one result.")
    return of_bundle(bundle_place, say) if bundle_place else of_file(Path(result))


def _refuse_none_or_both(result: str, bundle_place: str) -> None:
    hint = "Give a result's file, a cell that was run here, or --from BUNDLE."
    number_given = bool(result) + bool(bundle_place)
    if number_given > 1:
        raise UsageError(f"{result} and --from do not go together", hint)
    if not number_given:
        raise UsageError("no result to reproduce is named", hint)


def of_cell(glob: str, run_name: str) -> Original:
    """Return the result of the only cell that a glob selects, in the run `run_name` or the newest run that has one.

    Raises:
        UsageError: no run has such a result, or the glob selects several in one run.

    """
    runs = _runs_to_search(run_name)
    for run in runs:
        found = _with_result(run, glob) if run_name else _with_whole_result(run, glob)
        if found:
            return _of_run(run, picked(run, found))
    where = f"run {run_name}" if run_name else "any run of this machine"
    raise UsageError(
        f"{glob!r} is no result in {where}{did_you_mean(glob, _cells_of(runs[:NEWEST]))}",
        "Name a result's file, a cell that was run here (`perf-matrix report` shows them), or --from BUNDLE.",
    )


def _runs_to_search(run_name: str) -> list[Run]:
    """Return the run of this name or, without a name, all readable runs, the newest first."""
    if run_name:
        return [store.find(run_name)]
    return [run for run in store.runs() if run.readable]


def _cells_of(runs: Iterable[Run]) -> set[CellId]:
    return {cell_id for run in runs for cell_id in run.settings().cells}


def _with_result(run: Run, glob: str) -> list[CellId]:
    """Return the ids of a run's cells that a glob selects and that have a result."""
    return [cell_id for cell_id in run.settings().cells if matches(cell_id, glob) and run.result(cell_id)]


def _with_whole_result(run: Run, glob: str) -> list[CellId]:
    """Return what `_with_result` does without cells whose result is damaged, as an older run may have a whole one."""
    return [cell_id for cell_id in run.settings().cells if matches(cell_id, glob) and _has_whole_result(run, cell_id)]


def _has_whole_result(run: Run, cell_id: CellId) -> bool:
    try:
        return run.result(cell_id) is not None
    except UsageError:
        return False


def to_bundle(of: str, cell: str) -> Original:
    """Return the original that the words of `bundle` name: a run and the glob of one of its cells, or a result's file.

    Raises:
        UsageError: the run or the result does not exist, or the glob selects several cells.

    """
    if not Path(of).is_file():
        return of_run(of, cell)
    if cell:
        raise UsageError(f"{of} is the result of one cell", "Give no CELL, or the run.")
    return of_file(Path(of))


def of_run(name: str, glob: str) -> Original:
    """Return the result of the cell of a run that a glob selects; without a glob, of the only failed or only cell.

    Raises:
        UsageError: the run or the result does not exist, or several cells are meant.

    """
    run = store.find(name)
    found = _with_result(run, glob) if glob else _failed_or_only(run)
    if not found:
        wanted = glob or "no cell"
        raise UsageError(f"{wanted!r} has no result in run {run.name}", "`perf-matrix report` shows them.")
    return _of_run(run, picked(run, found))


def _failed_or_only(run: Run) -> list[CellId]:
    """Return the ids of the failed cells of a run or, where no cell failed, of the only cell with a result.

    Raises:
        UsageError: no cell failed, and several have a result.

    """
    results = list(run.results())
    failed = [result.id for result in results if result.verdict == Verdict.FAIL]
    if not failed and len(results) > 1:
        raise UsageError(f"no cell of run {run.name} failed", choice([result.id for result in results]))
    return failed or [result.id for result in results]


def _of_run(run: Run, cell_id: CellId) -> Original:
    result = run.result(cell_id)
    assert result is not None
    folder = run.cell(cell_id)
    if ownership.is_own(run):
        return Original(result, own=run, logs=folder / "logs")
    # A run by its path, outside of the state folder, may have been copied from anywhere.
    return of_file(folder / "result.json")


def of_file(path: Path) -> Original:
    """Return the result in a file; unless the file is in a run of this machine, its consistency is checked first.

    Raises:
        UsageError: the file has no result, or an inconsistent one.

    """
    own = _in_own_run(path.resolve())
    if own:
        return own
    # One byte above the limit, so that a larger file is seen to be one without being read.
    with path.open("rb") as file:
        return Original(bundle.parse_result(file.read(bundle.JSON_BYTES + 1)), logs=path.parent / "logs")


def _in_own_run(file: Path) -> Original | None:
    """Return the result in `file`, a resolved path, if that is the result of a cell of a run of this machine."""
    if file.name != "result.json":
        return None
    originals = (_kept_in(store.Run(folder), file) for folder in file.parents)
    return next(filter(None, originals), None)


def _kept_in(run: Run, file: Path) -> Original | None:
    """Return the result in the file of a cell's folder, if the run is one of this machine and has the cell."""
    cells = run.folder / "cells"
    if not ownership.is_own(run) or cells not in file.parents:
        return None
    result = run.result(file.parent.relative_to(cells).as_posix())
    return Original(result, own=run, logs=file.parent / "logs") if result else None


def of_bundle(place: str, say: Say) -> Original:
    """Return the result and the patch in a bundle; `place` is its file or address.

    Raises:
        UsageError: the file does not exist, or is no bundle.
        InfrastructureError: the bundle could not be fetched.

    """
    found = bundle.unpack(fetch.fetched(place, bundle.FILE_BYTES, say))
    return Original(found.result, patch=found.patch)
