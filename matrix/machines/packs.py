"""A cell's files as one file, to send: a line of JSON with their names and sizes, and then their contents.

A pack comes from another machine: its names and sizes are checked before anything is written.
"""

from __future__ import annotations

import hashlib
from typing import IO, TYPE_CHECKING

from pydantic import Field

from matrix import files
from matrix.errors import UsageError
from matrix.machines.messages import Blob
from matrix.model.base import Frozen, first_problem
from matrix.runs import cell_files

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run

HEAD_BYTES = 64 << 10
_BLOCK_BYTES = 1 << 20
_HINT = "The cell is run again."


class _Head(Frozen):
    """The first line of a pack: the size of each file, in their order."""

    sizes: dict[str, int] = Field(max_length=cell_files.MOST_FILES)


def pack(run: Run, cell_id: CellId, path: Path) -> Blob:
    """Write a cell's files into one file, and return its digest and size.

    Raises:
        UsageError: a file is longer than its bound.

    """
    names = cell_files.names(run, cell_id)
    sizes = {name: (run.cell(cell_id) / name).stat().st_size for name in names}
    with path.open("wb") as file:
        file.write(_Head(sizes=sizes).model_dump_json().encode() + b"\n")
        for name in names:
            file.writelines(cell_files.blocks(run, cell_id, name))
    return blob(path)


def blob(path: Path) -> Blob:
    """Return a file's digest and size."""
    return Blob(sha256=files.sha256(path), size=path.stat().st_size)


def unpack(path: Path, run: Run, cell_id: CellId) -> None:
    """Write a packed cell's files into a run; the result comes last, as it says that the cell is done.

    Raises:
        UsageError: the file is no pack.

    """
    with path.open("rb") as file:
        sizes = _sizes(file.readline(HEAD_BYTES), path.stat().st_size)
        for name, size in sizes.items():
            with files.replacing(run.cell(cell_id) / name) as part, part.open("wb") as target:
                _copy(file, target, size)


def _sizes(head: bytes, size: int) -> dict[str, int]:
    """Return the sizes of a pack's files, by their names; `size` is that of the pack."""
    try:
        sizes = _Head.model_validate_json(head).sizes
    except ValueError as error:
        raise UsageError(f"a packed cell begins with no list of its files: {first_problem(error)}", _HINT) from error
    for name, wanted in sizes.items():
        if not 0 <= wanted <= cell_files.most_bytes(name) or not cell_files.most_bytes(name):
            raise UsageError(f"a packed cell has the file {name!r} of {wanted} bytes, which no cell has", _HINT)
    if len(head) + sum(sizes.values()) != size or list(sizes)[-1:] != [cell_files.RESULT]:
        raise UsageError("a packed cell is not whole", _HINT)
    return sizes


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    left = size
    while block := source.read(min(left, _BLOCK_BYTES)):
        target.write(block)
        left -= len(block)


class Arriving:
    """A file that arrives in pieces, whose digest and size are known before."""

    def __init__(self, path: Path, expected: Blob) -> None:
        self.path = path
        self.expected = expected
        self.size = 0
        self._digest = hashlib.sha256()
        path.unlink(missing_ok=True)

    @property
    def is_whole(self) -> bool:
        """Whether all of it has arrived."""
        return self.size == self.expected.size

    def add(self, offset: int, block: bytes) -> None:
        """Append a piece; one that has arrived before is dropped.

        Raises:
            UsageError: the piece is another one than the next, or the whole file is not the expected one.

        """
        if offset < self.size:
            return
        if offset > self.size or len(block) > self.expected.size - self.size:
            raise UsageError("a file between machines arrives out of order", _HINT)
        with self.path.open("ab") as file:
            file.write(block)
        self._digest.update(block)
        self.size += len(block)
        if self.is_whole and self._digest.hexdigest() != self.expected.sha256:
            raise UsageError("a file between machines has another content than was promised", _HINT)
