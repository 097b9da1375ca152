"""Errors that a person can act on, each with the exit status that it ends the program with."""

from __future__ import annotations

import difflib
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitStatus(IntEnum):
    """The exit statuses of perf-matrix; INTERRUPTED is 128 and the number of SIGINT, as shells have it."""

    OK = 0
    CELLS_FAILED = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    INTERRUPTED = 130


class MatrixError(Exception):
    """A sentence for what went wrong and, in `hint`, a sentence for what to do about it.

    `status` is the process's exit status when the error ends the program.
    """

    status = ExitStatus.INFRASTRUCTURE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  {self.hint}" if self.hint else message


class UsageError(MatrixError):
    """A request that cannot be met: a configuration file, an option, a glob or a tree is wrong."""

    status = ExitStatus.USAGE


class InfrastructureError(MatrixError):
    """The engine, the network, the disk or the machine failed; never the fault of the tree under test."""


LISTED_CHOICES = 12


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return `; did you mean 'X'?` where one of `choices` is close to `word`, else what there is, if that is short."""
    known = sorted(choices)
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(known)}" if 0 < len(known) <= LISTED_CHOICES else ""
