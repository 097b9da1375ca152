"""Whether a loss of power could take a result: the order in which files of a run were written, flushed and renamed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

UNFLUSHED = ("progress.json", "order.json")
"""The files of a run that are replaced and not flushed: what a cell does now, and the order of the cells."""

INDEX = "results"
"""The folder of the state folder whose files are not flushed: each has a seal, and one that is lost is a cell built."""


@dataclass
class Journal:
    """The calls of a trial's processes below its state folder: a list `[process, call, path, other path]` for each."""

    path: Path
    flushed: set[str] = field(default_factory=set)
    unnamed: dict[str, set[str]] = field(default_factory=dict)

    def wrong(self) -> Iterator[str]:
        """Yield what was renamed before its content was on the disk."""
        self.flushed, self.unnamed = set(), {}
        for _, call, path, other in self._calls():
            if call == "write":
                self.flushed.discard(path)
            elif call == "flush":
                self.flushed.add(path)
                self.unnamed.pop(path, None)
            elif call == "rename" and not _may_be_lost(Path(other)):
                if path not in self.flushed:
                    yield f"{_short(other)} was replaced by a file that was not flushed"
                self.unnamed.setdefault(str(Path(other).parent), set()).add(Path(other).name)
            elif call == "make folder":
                self.unnamed.setdefault(str(Path(path).parent), set()).add(Path(path).name)

    def at_the_end(self, run: Path) -> Iterator[str]:
        """Yield what is wrong, and what of a run's files was neither replaced whole nor is a log, a lock or progress.

        For runs that nothing disturbed: of a process that is killed, the last rename may not be on the disk yet.
        """
        yield from self.wrong()
        replaced = {other for _, call, _, other in self._calls() if call == "rename"}
        kept = [path for path in run.rglob("*") if path.is_file() and not _is_log_or_lock(path)]
        yield from (f"{_short(str(path))} was written in place" for path in kept if str(path) not in replaced)
        for folder in {parent for path in kept if path.name not in UNFLUSHED for parent in path.parents}:
            names = self.unnamed.get(str(folder), set()) & {path.name for path in _with_parents(kept)}
            yield from (f"the name {name} in {_short(str(folder))} was not flushed" for name in sorted(names))
        if not kept:
            yield f"{run} has no files"

    def _calls(self) -> Iterator[list[str]]:
        for line in self.path.read_text().splitlines() if self.path.exists() else ():
            yield json.loads(line)


def _may_be_lost(path: Path) -> bool:
    return path.name in UNFLUSHED or path.parent.name == INDEX


def _with_parents(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        yield path
        yield from path.parents


def _is_log_or_lock(path: Path) -> bool:
    return path.suffix in (".log", ".lock") or path.name == "lock" or path.parent.name == "logs"


def _short(path: str) -> str:
    return path.partition("/state/")[2] or path
