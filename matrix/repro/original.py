"""Gets the result to reproduce or to bundle: from a run of this machine's, a file, or a bundle at an address."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import requests
from urllib3.exceptions import HTTPError

from matrix import paths
from matrix.errors import InfrastructureError, UsageError, did_you_mean
from matrix.model.cell import matches
from matrix.model.result import Verdict
from matrix.repro import bundle, consistency
from matrix.runs import store
from matrix.trees import git

if TYPE_CHECKING:
    from matrix.model.cell_id import CellId
    from matrix.model.result import CellResult
    from matrix.model.tree import Delta
    from matrix.runs.store import Run

PATIENCE_S = 600
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Original:
    """A result to begin with. `own` is the run of this machine's that it is of: only such a one is believed.

    `logs` is the folder of its logs, `patch` what a bundle has on top of its tree.
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
    hint = "Give a result's file, a cell that was run here, or --from BUNDLE."
    if result and bundle_place:
        raise UsageError(f"{result} and --from do not go together", hint)
    if not (result or bundle_place):
        raise UsageError("what is to be reproduced?", hint)
    is_file = Path(result).is_file() if result else False
    if run_name and (bundle_place or is_file):
        raise UsageError("--run goes with a cell only", "A file and a bundle hold one result.")
    if bundle_place:
        return of_bundle(bundle_place)
    return of_file(Path(result)) if is_file else of_cell(result, run_name)


def of_cell(glob: str, run_name: str) -> Original:
    """Return the result of the one cell that a glob selects, in the newest run that has it, or in that run.

    Raises:
        UsageError: no run has it, or the glob selects several.

    """
    runs = [store.find(run_name)] if run_name else [run for run in store.runs() if run.readable]
    for run in runs:
        found = [cell_id for cell_id in run.settings().cells if matches(cell_id, glob) and run.result(cell_id)]
        if found:
            return _of_run(run, picked(run, found))
    known = sorted({cell_id for run in runs[:5] for cell_id in run.settings().cells})
    where = f"run {run_name}" if run_name else "any run of this machine"
    raise UsageError(
        f"{glob!r} is no result in {where}{did_you_mean(glob, known)}",
        "Name a result's file, a cell that was run here (`perf-matrix report` shows them), or --from BUNDLE.",
    )


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
    results = [result for result in run.results() if not glob or matches(result.id, glob)]
    failed = [result for result in results if result.verdict == Verdict.FAIL]
    found = [result.id for result in (failed if len(failed) == 1 and not glob else results)]
    if not found:
        raise UsageError(f"{glob or 'no cell'!r} has no result in run {run.name}", "`perf-matrix report` shows them.")
    return _of_run(run, picked(run, found))


def picked(run: Run, found: list[CellId]) -> CellId:
    """Return the only one of the cells that were found.

    Raises:
        UsageError: there are several.

    """
    if len(found) > 1:
        shown = ", ".join(found[:6]) + (", …" if len(found) > 6 else "")
        raise UsageError(f"{len(found)} cells of run {run.name} are meant", f"Name one of: {shown}")
    return found[0]


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
    whole = path.resolve()
    for folder in whole.parents if whole.name == "result.json" else ():
        run = store.Run(folder)
        if _is_own(run) and folder / "cells" in whole.parents:
            found = run.result(whole.parent.relative_to(folder / "cells").as_posix())
            if found is not None:
                return Original(found, own=run, logs=whole.parent / "logs")
    with path.open("rb") as file:
        return Original(bundle.parse_result(file.read(bundle.JSON_BYTES + 1)), logs=path.parent / "logs")


def of_bundle(place: str) -> Original:
    """Return the result in a bundle, a file or at an address.

    Raises:
        UsageError: there is no such file, or it is no bundle.
        InfrastructureError: it could not be fetched.

    """
    found = bundle.unpack(_fetched(place) if "://" in place else _read(Path(place).expanduser()))
    return Original(found.result, patch=found.patch)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise UsageError(f"{path} is no file", "--from takes a bundle: a file, or its http(s) address.")
    with path.open("rb") as file:
        return file.read(bundle.FILE_BYTES + 1)


def _fetched(url: str) -> bytes:
    """Return what is at an address, as it is sent: of more than a bundle can have no more is read."""
    if not re.match(r"https?://", url):
        raise UsageError(f"{url} is no http or https address", "--from takes a bundle: a file, or its http(s) address.")
    deadline = time.monotonic() + PATIENCE_S
    data = bytearray()
    try:
        with requests.get(url, headers={"Accept-Encoding": "identity"}, stream=True, timeout=60) as response:
            response.raise_for_status()
            for block in response.raw.stream(BLOCK_BYTES, decode_content=False):
                data += block
                if len(data) > bundle.FILE_BYTES:
                    break
                if time.monotonic() > deadline:
                    raise InfrastructureError(f"{url} is too slow: {len(data)} bytes in {PATIENCE_S} s", "Try again.")
    except (requests.RequestException, HTTPError) as error:
        raise InfrastructureError(f"{url} could not be fetched: {error}", "Is the address right?") from error
    return bytes(data)


def logs(first: Original) -> dict[str, bytes]:
    """Return the logs beside a result, each cut to what a bundle takes of it."""
    if first.logs is None or not first.logs.is_dir():
        return {}
    files = [path for path in sorted(first.logs.iterdir()) if path.is_file() and not path.is_symlink()]
    named = {path.name: path for path in files if bundle.LOG.fullmatch(f"logs/{path.name}")}
    return {name: _cut(path) for name, path in named.items()}


def _cut(path: Path) -> bytes:
    """Return a log, of a long one both ends: more than a bundle takes, so that it is cut there, and said to be."""
    size, most = path.stat().st_size, 2 * bundle.LOG_BYTES
    file: IO[bytes]
    with path.open("rb") as file:
        if size <= most:
            return file.read(most)
        head = file.read(bundle.LOG_BYTES)
        file.seek(size - bundle.LOG_BYTES)
        return head + file.read(bundle.LOG_BYTES)


def patch(first: Original) -> bytes | None:
    """Return what the result's tree has on top of its source, as git's patch, or nothing.

    Raises:
        UsageError: the repository, or a commit, is not there any more; or a stranger names it.

    """
    delta = consistency.definition(first.result).tree.delta
    if delta is None:
        return None
    if first.own is None:  # git runs what a repository's configuration says
        raise UsageError(
            f"the result of {first.result.id} has a patch, which is in a repository of its sender's",
            "Only who ran it can bundle it: ask for `perf-matrix bundle`'s file.",
        )
    return _difference(delta)


def _difference(delta: Delta) -> bytes:
    words = ["diff", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--end-of-options"]
    done = git.attempt(Path(delta.repository), *words, delta.base, delta.commit)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise UsageError(
            f"the patch of {delta.base[:12]}..{delta.commit[:12]} is not to be had: {reason}",
            f"It was in {delta.repository}.",
        )
    return done.stdout


def bundled(first: Original) -> bytes:
    """Return the bundle of an original: its result, logs, recipe and patch, without the places of this machine.

    Raises:
        UsageError: the result does not say what was to be done, its patch is not to be had, or it is too large.

    """
    return bundle.pack(first.result, logs(first), patch(first), places(first))


def places(first: Original) -> tuple[str, ...]:
    """Return the folders of this machine that a bundle must not name."""
    own = [str(first.own.folder), *first.own.settings().configs] if first.own else []
    return (*own, str(paths.state()), str(paths.cache()), str(paths.runtime()), str(Path.home()))
