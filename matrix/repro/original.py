"""The result to reproduce or to bundle: of a run of this machine's, of a file, or of a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import paths
from matrix.errors import UsageError, did_you_mean
from matrix.model.cell import matches
from matrix.model.result import Verdict
from matrix.repro import bundle, fetch
from matrix.runs import store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.model.cell_id import CellId
    from matrix.model.result import CellResult
    from matrix.runs.store import Run

NEWEST = 5
"""How many runs are looked through for a cell that was meant."""


@dataclass(frozen=True)
class Original:
    """The result that a reproduction or a bundle begins with.

    `own` is the run of this machine that the result is of: only such a result is trusted. `logs` is the folder of its
    logs, `patch` the patch on its tree that a bundle holds.
    """

    result: CellResult
    own: Run | None = None
    logs: Path | None = None
    patch: bytes | None = None


def find(result: str, bundle_place: str, run_name: str) -> Original:
    """Return the original that the words of `repro` name: a result's file or a cell that was run here, or a bundle.

    `bundle_place` is the bundle's file or address. A cell's result is that of the run `run_name`, or else the newest.

    Raises:
        UsageError: the words do not go together, or name nothing that there is.
        InfrastructureError: a bundle could not be fetched.

    """
    _refuse_none_or_both(result, bundle_place)
    if bundle_place or Path(result).is_file():
        return _of_bundle_or_file(result, bundle_place, run_name)
    return of_cell(result, run_name)


def _of_bundle_or_file(result: str, bundle_place: str, run_name: str) -> Original:
    if run_name:
        raise UsageError("--run goes with a cell only", "A file and a bundle hold one result.")
    return of_bundle(bundle_place) if bundle_place else of_file(Path(result))


def _refuse_none_or_both(result: str, bundle_place: str) -> None:
    hint = "Give a result's file, a cell that was run here, or --from BUNDLE."
    number_given = bool(result) + bool(bundle_place)
    if number_given > 1:
        raise UsageError(f"{result} and --from do not go together", hint)
    if not number_given:
        raise UsageError("what is to be reproduced?", hint)


def of_cell(glob: str, run_name: str) -> Original:
    """Return the result of the one cell that a glob selects, in the newest run that has it, or in that run.

    Raises:
        UsageError: no run has it, or the glob selects several.

    """
    runs = _runs_to_search(run_name)
    for run in runs:
        found = _with_result(run, glob)
        if found:
            return _of_run(run, picked(run, found))
    where = f"run {run_name}" if run_name else "any run of this machine"
    raise UsageError(
        f"{glob!r} is no result in {where}{did_you_mean(glob, _cells_of(runs[:NEWEST]))}",
        "Name a result's file, a cell that was run here (`perf-matrix report` shows them), or --from BUNDLE.",
    )


def _runs_to_search(run_name: str) -> list[Run]:
    """Return the run of this name or, without a name, all that can be read, the newest first."""
    if run_name:
        return [store.find(run_name)]
    return [run for run in store.runs() if run.readable]


def _cells_of(runs: Iterable[Run]) -> set[CellId]:
    return {cell_id for run in runs for cell_id in run.settings().cells}


def _with_result(run: Run, glob: str) -> list[CellId]:
    """Return the cells of a run that a glob selects and that have a result."""
    return [cell_id for cell_id in run.settings().cells if matches(cell_id, glob) and run.result(cell_id)]


def to_bundle(of: str, cell: str) -> Original:
    """Return the original that the words of `bundle` name: a run and the glob of one of its cells, or a result's file.

    Raises:
        UsageError: there is no such run or result, or there are several.

    """
    if not Path(of).is_file():
        return of_run(of, cell)
    if cell:
        raise UsageError(f"{of} is the result of one cell", "Give no CELL, or the run.")
    return of_file(Path(of))


def of_run(name: str, glob: str) -> Original:
    """Return the result of a run that a glob selects: without one, of its only cell, or of the only one that failed.

    Raises:
        UsageError: there is no such run or result, or there are several.

    """
    run = store.find(name)
    found = _with_result(run, glob) if glob else _failed_or_only(run)
    if not found:
        wanted = glob or "no cell"
        raise UsageError(f"{wanted!r} has no result in run {run.name}", "`perf-matrix report` shows them.")
    return _of_run(run, picked(run, found))


def _failed_or_only(run: Run) -> list[CellId]:
    """Return the cells of a run that failed or, where none did, the only cell that has a result.

    Raises:
        UsageError: no cell failed, and several have a result.

    """
    results = list(run.results())
    failed = [result.id for result in results if result.verdict == Verdict.FAIL]
    if not failed and len(results) > 1:
        raise UsageError(f"no cell of run {run.name} failed", _choice([result.id for result in results]))
    return failed or [result.id for result in results]


def picked(run: Run, found: list[CellId]) -> CellId:
    """Return the only one of the cells that were found.

    Raises:
        UsageError: there are several.

    """
    if len(found) > 1:
        raise UsageError(f"{len(found)} cells of run {run.name} are meant", _choice(found))
    return found[0]


def _choice(found: list[CellId]) -> str:
    """Return the hint that names the first of the cells that were found."""
    shown = ", ".join(found[:6]) + (", …" if len(found) > 6 else "")
    return f"Name one of: {shown}"


def _of_run(run: Run, cell_id: CellId) -> Original:
    result = run.result(cell_id)
    assert result is not None
    folder = run.cell(cell_id)
    if _is_own(run):
        return Original(result, own=run, logs=folder / "logs")
    return of_file(folder / "result.json")


def _is_own(run: Run) -> bool:
    return run.folder.resolve().parent == (paths.state() / "runs").resolve()


def of_file(path: Path) -> Original:
    """Return the result in a file: one of a run of this machine's is believed, any other is seen through first.

    Raises:
        UsageError: it holds none, or one that its own definition does not give.

    """
    own = _in_own_run(path.resolve())
    if own:
        return own
    with path.open("rb") as file:
        return Original(bundle.parse_result(file.read(bundle.JSON_BYTES + 1)), logs=path.parent / "logs")


def _in_own_run(file: Path) -> Original | None:
    """Return the result of a file (resolved) in the cell's folder of a run of this machine; None for any other."""
    if file.name != "result.json":
        return None
    originals = (_kept_in(store.Run(folder), file) for folder in file.parents)
    return next(filter(None, originals), None)


def _kept_in(run: Run, file: Path) -> Original | None:
    """Return the result in a file of a cell's folder, if the run is one of this machine's and the cell is in it."""
    cells = run.folder / "cells"
    if not _is_own(run) or cells not in file.parents:
        return None
    result = run.result(file.parent.relative_to(cells).as_posix())
    return Original(result, own=run, logs=file.parent / "logs") if result else None


def of_bundle(place: str) -> Original:
    """Return the result in a bundle, a file or at an address.

    Raises:
        UsageError: there is no such file, or it is no bundle.
        InfrastructureError: it could not be fetched.

    """
    found = bundle.unpack(fetch.fetched(place, bundle.FILE_BYTES))
    return Original(found.result, patch=found.patch)
