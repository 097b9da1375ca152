"""Removes the leftovers of ended runs from an engine and, if asked to, the caches."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files, paths
from matrix.engine import cache
from matrix.engine.api import Resource
from matrix.engine.cache import Part
from matrix.errors import UsageError
from matrix.runs import kept_results, locks, ownership, store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.engine.api import Engine

FILE = "file"
"""The kind of a resource that is a file of a cache, and in no engine."""

FOLDER = "folder"
"""The kind of a resource that is a folder of a process which was killed, and in no engine."""


def refuse_beside_work() -> None:
    """Refuse to remove the caches while a process works with them.

    Raises:
        UsageError: a run is being done, a process builds outside of any run, or a comparison is measured.

    """
    hint = "Wait until it has ended; without --all, `perf-matrix clean` leaves the caches alone."
    for run in store.runs():
        if locks.is_being_done(run):
            raise UsageError(f"run {run.name} is being done, which needs the caches", hint)
    if locks.others_busy() or locks.is_held(paths.state() / locks.MEASURING):
        raise UsageError("another command builds or measures, which needs the caches", hint)


def removable(engine: Engine, *, caches: bool) -> list[Resource]:
    """Return the resources that ended runs left in an engine, and the entries of results that are gone.

    With `caches` these are the images, trees and downloads, too.
    """
    folders = [Resource(FOLDER, str(path), "temporary", "") for path in paths.abandoned_temporary()]
    left = [*_abandoned(), *kept_results.lost()]
    found = ownership.left_over(engine) + [_file(path) for path in left] + folders
    if caches:
        found += [item for item in engine.resources() if item.purpose in cache.KEPT]
        found += [_file(path) for path in cache.files() if path.suffix != files.PART_SUFFIX]
    return found


def _abandoned() -> list[Path]:
    """Return the unfinished files that killed processes left in the caches and in the runs."""
    folders = [*(cache.folder(part) for part in Part), paths.state()]
    return [path for folder in folders for path in files.abandoned(folder)]


def _file(path: Path) -> Resource:
    return Resource(FILE, str(path), "cache", "", _size_bytes(path))


def _size_bytes(path: Path) -> int | None:
    """Return the size of a file, or None where another process has just removed the file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def remove(found: Iterable[Resource], engine: Engine) -> None:
    """Remove resources of the engine, and files of the caches, in the order in which `removable` has them."""
    for item in found:
        if item.kind == FILE:
            Path(item.name).unlink(missing_ok=True)  # another `clean` may be at it, too
        elif item.kind == FOLDER:
            shutil.rmtree(item.name, ignore_errors=True)
        else:
            engine.remove(item)
