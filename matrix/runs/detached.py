"""The record of a run that goes on without its command: what a scheduler has of it, until it is collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix import files
from matrix.errors import UsageError
from matrix.model.base import Frozen, first_problem
from matrix.model.cell_id import CellId

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.runs.store import Run

FILE = "detached.json"


class HandedGroup(Frozen):
    """A group of cells that a scheduler has: the key of its task, its cells, and the addresses of their workers."""

    task: str
    cells: tuple[CellId, ...]
    workers: tuple[str, ...]


class Detached(Frozen):
    """The groups of a run that a scheduler has.

    `scheduler` and `certificates` are as the command was told, `dataset` is the name by which the scheduler keeps the
    tasks, `jobs` is make's number in each cell (0: the worker's choice), and `contents` has the content hash of the
    source of each tree, by the tree's name.
    """

    scheduler: str
    certificates: str
    dataset: str
    jobs: int
    contents: dict[str, str]
    groups: tuple[HandedGroup, ...]


def is_detached(run: Run) -> bool:
    """Return whether workers do a run for which no command waits."""
    return _path(run).is_file()


def read(run: Run) -> Detached:
    """Return the record of a detached run.

    Raises:
        UsageError: the file is no such record.

    """
    try:
        return Detached.model_validate_json(files.read(_path(run)))
    except ValueError as error:
        hint = f"Remove it, and go on: `perf-matrix run --resume {run.name} --scheduler ADDRESS`."
        raise UsageError(f"{_path(run)} cannot be read: {first_problem(error)}", hint) from error


def write(run: Run, record: Detached) -> None:
    """Store the record of a run; where it has no group any more, remove it."""
    if record.groups:
        files.write(_path(run), record.model_dump_json(indent=1))
    else:
        forget(run)


def forget(run: Run) -> None:
    """Remove the record: no scheduler has anything of the run."""
    _path(run).unlink(missing_ok=True)


def _path(run: Run) -> Path:
    return run.folder / FILE
