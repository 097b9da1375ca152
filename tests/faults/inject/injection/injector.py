"""The injector of a process: it counts the calls at each boundary, and raises the one fault that is due."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
from collections import Counter
from typing import Any

LASTING = {
    "ENOSPC": {"open to write", "write", "flush", "make folder"},
    "EROFS": {"open to write", "write", "make folder", "rename", "remove"},
}
"""The boundaries that fail for good on a disk that is full, and on one that was mounted read-only."""


class Injector:
    """Counts the calls of this process at each boundary, and raises the fault that is due."""

    def __init__(self, plan: dict[str, Any], role: str) -> None:
        self.below: tuple[str, ...] = tuple(plan["below"])
        self.fired_path: str = plan["fired"]
        self.counts_path: str = plan["counts"]
        self.journal: str = plan["journal"]
        self.kept: str = plan["kept"]
        self.boundary: str = plan["boundary"]
        self.number: int = plan["number"]
        self.how, _, duration = str(plan["how"]).partition(" ")
        self.lasts = duration == "lasting"
        self.is_mine = plan["role"] == role
        self.role = role
        self.counts: Counter[str] = Counter()
        self.shift_s = 0.0
        self.is_inside = False

    def at(self, boundary: str, detail: str = "") -> bool:
        """Count a call; return whether the fault is due at it."""
        self.counts[boundary] += 1
        if self.counts_path:
            _append(self.counts_path, f"{self.role}\t{os.getpid()}\t{boundary}\n")
        if self.lasts and boundary in LASTING.get(self.how, set()) and os.access(self.fired_path, os.F_OK):
            return True
        if not (self.is_mine and self.boundary == boundary and self.counts[boundary] == self.number):
            return False
        return self.fires(detail)

    def fires(self, detail: str) -> bool:
        """Return whether no process was first; note then where the fault is."""
        with contextlib.suppress(FileExistsError):
            file = os.open(self.fired_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(file, f"{self.role} {self.boundary} {self.number} {self.how}: {detail}".encode(errors="replace"))
            os.close(file)
            return True
        return False

    def note(self, call: str, path: str, other: str = "") -> None:
        """Add a call on a file or folder that a loss of power must not take to the journal."""
        if path.startswith(self.kept):
            _append(self.journal, json.dumps([os.getpid(), call, path, other]) + "\n")

    def system_call(self, boundary: str, detail: str) -> None:
        """Count a call of the system at its boundary, and as one of all; raise what is due."""
        if self.is_inside:
            return
        self.is_inside = True
        try:
            fails = self.at(boundary, detail)
            ends = self.at("any call", detail)
        finally:
            self.is_inside = False
        if ends:
            os.kill(os.getpid(), getattr(signal, self.how))
        if fails:
            number = getattr(errno, self.how)
            raise OSError(number, os.strerror(number), detail)


class State:
    """The injector of this process, if it is one of a run's."""

    injector: Injector | None = None


def _append(path: str, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)


def path_of(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, str | bytes | os.PathLike) else ""
