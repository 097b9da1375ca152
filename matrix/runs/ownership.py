"""Owners of what is in an engine: each of our containers and volumes carries a label that names its run or process.

What a run or process left behind that has ended is swept: by the next run, and by `perf-matrix clean`.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from matrix import files, paths
from matrix.engine.cache import KEPT
from matrix.errors import InfrastructureError
from matrix.runs import locks
from matrix.runs.store import Run

if TYPE_CHECKING:
    from matrix.engine.api import Engine, Resource


def owner() -> str:
    """Return the id of this state folder, 12 random hex digits, which is made once and kept there."""
    path = paths.state() / "owner"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            files.write(path, secrets.token_hex(6))
        return path.read_text()


def label(run: str = "") -> str:
    """Return the label of what belongs to a run, `OWNER.RUN`, or else to this process, `OWNER.pid-NUMBER`."""
    return f"{owner()}.{run or f'pid-{os.getpid()}'}"


def gone(label: str) -> bool:
    """Return whether a label is one of this state folder's, and the run or process that it names has ended."""
    its_owner, _, name = label.partition(".")
    if its_owner != owner() or not name:
        return False
    if name.startswith("pid-"):
        return not Path(f"/proc/{name.removeprefix('pid-')}").exists()
    return not locks.is_being_done(Run(paths.state() / "runs" / name))


def left_over(engine: Engine, run: str = "") -> list[Resource]:
    """Return what runs and processes that have ended left in the engine; with `run`, all that this run has there."""
    there = [resource for resource in engine.resources() if resource.purpose not in KEPT]
    if not run:
        return [resource for resource in there if gone(resource.run)]
    wanted = label(run)
    return [resource for resource in there if resource.run == wanted]


def sweep(engine: Engine, run: str = "") -> int:
    """Remove what is left over, as far as that can be, and return how many things that were.

    Raises:
        InfrastructureError: the engine could not remove all of them; the first failure.

    """
    found = left_over(engine, run)
    failures = []
    for resource in found:
        try:
            engine.remove(resource)
        except InfrastructureError as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return len(found)
