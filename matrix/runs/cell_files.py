"""The files of a cell that go from one run directory to another: result, transcript and logs.

Whatever comes from another machine is a stranger's: only files of known names are taken, each up to a bound, and no
link is followed.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from typing import TYPE_CHECKING

from matrix import files
from matrix.errors import UsageError
from matrix.untrusted import short

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run

RESULT, TRANSCRIPT, LOGS = "result.json", "transcript.json.gz", "logs"
LOG = re.compile(r"logs/(?:[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.log|diffoscope\.txt)", re.A)
FILE_BYTES = 256 << 20
"""The longest transcript or log that is taken; of perf's cells the longest have 4 MB and 24 MB."""

MOST_FILES = 200
"""The most files of a cell; a cell has a log for each of its steps, about 20."""


def most_bytes(name: str) -> int:
    """Return the bound on a file of this name, in bytes; 0 where no file of this name is taken."""
    if name == RESULT:
        return files.RECORD_BYTES
    return FILE_BYTES if name == TRANSCRIPT or LOG.fullmatch(name) else 0


def names(run: Run, cell_id: CellId) -> list[str]:
    """Return the names of those files of a cell that go to another machine, the result last.

    Raises:
        UsageError: the cell has too many of them.

    """
    folder = run.cell(cell_id)
    logs = sorted(f"{LOGS}/{path.name}" for path in (folder / LOGS).glob("*"))
    found = [name for name in (TRANSCRIPT, *logs, RESULT) if most_bytes(name) and _is_file(folder / name)]
    if len(found) > MOST_FILES:
        raise UsageError(f"{folder} has {len(found)} files", f"A cell has at most {MOST_FILES}.")
    return found


def _is_file(path: Path) -> bool:
    """Return whether a path is a regular file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def blocks(run: Run, cell_id: CellId, name: str) -> Iterator[bytes]:
    """Yield the content of one of a cell's `names`.

    Raises:
        UsageError: the file is longer than its bound.
        OSError: the file is a link by now, or cannot be read.

    """
    path = run.cell(cell_id) / name
    left = most_bytes(name)
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        while block := file.read(1 << 20):
            left -= len(block)
            if left < 0:
                raise UsageError(
                    f"{short(str(path))} has more than {most_bytes(name)} bytes", "No cell leaves as much."
                )
            yield block


def copy(source: Run, cell_id: CellId, target: Run) -> None:
    """Copy a cell's files from one run to another; the result comes last, as it says that the cell is done."""
    for name in names(source, cell_id):
        with files.replacing(target.cell(cell_id) / name) as part, part.open("wb") as file:
            file.writelines(blocks(source, cell_id, name))


def share(source: Run, cell_id: CellId, target: Run, to: CellId) -> None:
    """Give a cell of one run the transcript and the logs of another's; logs of an earlier attempt at it are removed.

    The transcript is linked where the file system can: nobody writes into it.
    """
    earlier, folder = source.cell(cell_id), target.cell(to)
    shutil.rmtree(folder / LOGS, ignore_errors=True)
    for name in names(source, cell_id):
        if LOG.fullmatch(name):
            files.make_folder(folder / LOGS)
            shutil.copyfile(earlier / name, folder / name)
    with files.replacing(folder / TRANSCRIPT) as part:
        try:
            part.hardlink_to(earlier / TRANSCRIPT)
        except OSError:  # another file system, or one without links
            shutil.copyfile(earlier / TRANSCRIPT, part)
