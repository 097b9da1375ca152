"""Owners of resources in an engine: each container and volume carries a label that names its run or process.

The leftovers of a run or process that has ended are swept: by the next run, and by `perf-matrix clean`.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from matrix import files, paths
from matrix.engine.cache import KEPT
from matrix.errors import InfrastructureError, UsageError
from matrix.runs import locks
from matrix.runs.store import Run
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine, Resource


_OWNER = re.compile(rb"[0-9a-f]{12}")


def _unsaid(_line: str) -> None:
    """Drop a line of progress, where there is nobody to read it."""


def owner(say: Callable[[str], None] = _unsaid) -> str:
    """Return the id of this state folder, 12 random hex digits, which is made once and kept there.

    Where its file is damaged, which is told, it is made anew: what ended runs left under the old one is not found.
    """
    path = paths.state() / "owner"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # two first commands at once must get one id
        kept = _kept(path)
        if kept is not None and _OWNER.fullmatch(kept):
            return kept.decode()
        if kept is not None:
            say(f"{path} is damaged: what earlier runs left in the engine is no longer known as this state folder's")
        made = secrets.token_hex(6)
        files.write(path, made)
        return made


def _kept(path: Path) -> bytes | None:
    """Return the content of the owner's file, however damaged; None where there is none."""
    try:
        return files.read(path) if path.is_file() else None
    except ValueError:  # too long for an owner
        return b""


def label(run: str = "", say: Callable[[str], None] = _unsaid) -> str:
    """Return the label of a run's resources, `OWNER.RUN`, or else of this process's, `OWNER.pid-NUMBER`."""
    return f"{owner(say)}.{run or f'pid-{os.getpid()}'}"


def gone(label: str) -> bool:
    """Return whether a label is one of this state folder's, and the run or process that it names has ended."""
    # Another state folder's runs may be live, and its locks are not seen from here: its resources are its own affair.
    its_owner, _, name = label.partition(".")
    if not name or its_owner != owner():
        return False
    kind, _, number = name.partition("-")
    if kind == "pid":  # a number that another process has by now keeps its leftovers until that has ended
        return not Path(f"/proc/{number}").exists()
    return not locks.is_being_done(Run(paths.state() / "runs" / name))


def is_own(run: Run) -> bool:
    """Return whether a run is one of this state folder's: any other may have been copied from anywhere."""
    return run.folder.resolve().parent == _runs_folder()


def _runs_folder() -> Path:
    return (paths.state() / "runs").resolve()


def refuse_outside_of_the_state_folder(run: Run) -> None:
    """Refuse to do a run that `gone` would not find by its name: a sweep would remove the live run's resources.

    Raises:
        UsageError: the run's folder is not directly in the state folder's `runs`.

    """
    if not is_own(run):
        raise UsageError(
            f"run {run.folder} is not in the state folder, {_runs_folder()}",
            "Move its folder there and resume it by its name, or set PERF_MATRIX_STATE to where it was begun.",
        )


def left_over(engine: Engine) -> list[Resource]:
    """Return the resources in the engine of runs and processes that have ended."""
    return [resource for resource in _not_cached(engine) if gone(resource.run)]


def of_run(engine: Engine, run: str) -> list[Resource]:
    """Return the resources in the engine of the run of this name, whether it has ended or not."""
    wanted = label(run)
    return [resource for resource in _not_cached(engine) if resource.run == wanted]


def _not_cached(engine: Engine) -> list[Resource]:
    return [resource for resource in engine.resources() if resource.purpose not in KEPT]


def sweep(engine: Engine, say: Callable[[str], None] = _unsaid) -> None:
    """Remove the resources that ended runs and processes left in the engine, after a line of progress.

    Raises:
        InfrastructureError: the engine could not remove all of them; the first failure, after all others were tried.

    """
    found = left_over(engine)
    if found:
        say(f"removing {count(len(found), 'leftover')} of runs that have ended")
    _remove(engine, found)


def sweep_run(engine: Engine, run: str, say: Callable[[str], None] = _unsaid) -> None:
    """Remove the resources of the run of this name, which the caller has ended, after a line of progress.

    Raises:
        InfrastructureError: the engine could not remove all of them; the first failure, after all others were tried.

    """
    found = of_run(engine, run)
    if found:
        say(f"removing {count(len(found), 'leftover')} of this run")
    _remove(engine, found)


def _remove(engine: Engine, found: list[Resource]) -> None:
    failures = []
    for resource in found:
        try:
            engine.remove(resource)
        except InfrastructureError as error:
            failures.append(error)
    if failures:
        raise failures[0]
