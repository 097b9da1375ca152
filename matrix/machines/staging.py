"""The trees that a command sends to a worker before it leaves its run: functions that it names to Dask."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from matrix import paths
from matrix.errors import MatrixError, UsageError
from matrix.machines import supply
from matrix.machines.messages import SentTree, line, parse
from matrix.machines.packs import Arriving

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.machines.messages import Blob

FORGOTTEN_S = 600.0
"""The time without a piece after which an archive is dropped: the command that sent it is gone."""

_staged: dict[str, _Staged] = {}
"""The archives that arrive in this process, by the tokens that their commands chose."""


class _Staged:
    """An archive that arrives, in a temporary folder until the end."""

    def __init__(self, content: SentTree) -> None:
        self.content = content
        self.touched = time.monotonic()
        self._folder = ExitStack()
        folder = self._folder.enter_context(paths.temporary("staging"))
        self.arriving = Arriving(folder / "archive", content.archive)

    def keep(self) -> None:
        """Make the tree of the archive."""
        with self._folder:
            supply.provide_tree(self.content, self._whole)

    def drop(self) -> None:
        """Remove what has arrived."""
        self._folder.close()

    def _whole(self, _blob: Blob) -> Path:
        if not self.arriving.is_whole:
            raise UsageError("a tree did not arrive whole")
        return self.arriving.path


async def expect(token: str, text: str) -> bool:
    """Return whether this machine lacks a tree, given as JSON (see SentTree): its archive is then expected."""
    content = parse(SentTree, text)
    if not await asyncio.to_thread(supply.lacks, content):
        return False
    _staged[token] = _Staged(content)
    return True


def drop_forgotten() -> None:
    """Drop the archives that nobody goes on sending."""
    for name, staged in list(_staged.items()):
        if time.monotonic() - staged.touched > FORGOTTEN_S:
            _staged.pop(name).drop()


def arriving(token: str, sha256: str) -> Arriving | None:
    """Return the file that is expected under a token, if there is one."""
    staged = _staged.get(token)
    if staged is None or staged.content.archive.sha256 != sha256:
        return None
    staged.touched = time.monotonic()
    return staged.arriving


async def keep(token: str) -> str:
    """Have the tree of an archive that has arrived in this machine's cache; return the reason why not, or nothing."""
    staged = _staged.pop(token, None)
    if staged is None:
        return "the archive of a tree is gone"
    try:
        await asyncio.to_thread(staged.keep)
    except (MatrixError, OSError) as error:
        return line(str(error))
    return ""
