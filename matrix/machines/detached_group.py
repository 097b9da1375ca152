"""A group of cells whose command is gone: what it needs came with it, and its results go back as Dask's own."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from matrix.errors import UsageError
from matrix.machines import packs
from matrix.machines.group import Group
from matrix.runs.store import Run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matrix.machines.group import Link
    from matrix.machines.messages import Blob, Given, Request


class DetachedGroup(Group):
    """A group that asks nobody: `given` are its done cells, `brought` the content of files by their SHA-256.

    The trees are in the machine's cache, where the command has put them before it left. `results` are the packs of the
    done cells, when the group is complete.
    """

    def __init__(self, request: Request, link: Link, at_once: int, given: Given, brought: Mapping[str, bytes]) -> None:
        super().__init__(request, link, at_once)
        # A name of its own: another attempt of the same group may have left its folder here, as its worker was killed.
        self.run = Run(self.run.folder.with_name(f"{self.run.name}-{secrets.token_hex(2)}"))
        self.given = given
        self.results: dict[str, bytes] = {}
        self._brought = brought

    def fetch(self, blob: Blob) -> Path:
        """Return a file that came with the group.

        Raises:
            UsageError: it did not, as a tree that is no longer in this machine's cache.

        """
        content = self._brought.get(blob.sha256)
        if content is None:
            raise UsageError("a tree is no longer in this machine's cache", "Go on with the run: --resume.")
        arriving = packs.Arriving(self.run.folder / blob.sha256, blob)
        arriving.add(0, content)
        return arriving.path

    def _deliver(self) -> None:
        self.results = {cell_id: self.pack_of(cell_id).read_bytes() for cell_id in self.offered}
