"""Errors that a person can act on, each with the exit status that it ends the program with."""

from __future__ import annotations

import difflib
import errno
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitStatus(IntEnum):
    """The exit statuses of perf-matrix; the last two are 128 and the number of SIGINT or SIGPIPE, as shells report."""

    OK = 0
    CELLS_FAILED = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141


class MatrixError(Exception):
    """An error with a sentence on the cause and, in `hint`, a sentence on what the user can do about it.

    `status` is the exit status of the program where the error ends it.
    """

    status = ExitStatus.INFRASTRUCTURE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(MatrixError):
    """A request that cannot be met: a configuration file, an option, a glob or a tree is wrong."""

    status = ExitStatus.USAGE


class InfrastructureError(MatrixError):
    """The engine, the network, the disk or the machine failed; never the fault of the tree under test."""


_OF_THE_MACHINE = frozenset(
    (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ESTALE)
)


def from_system(message: str, hint: str, error: OSError) -> MatrixError:
    """Return the error for a file or program of the user's that failed with an OSError.

    The user can mend a path, a mode or a program that is not there. A disk that fails, or a machine out of memory,
    processes or open files, is the infrastructure's fault.
    """
    kind = InfrastructureError if error.errno in _OF_THE_MACHINE else UsageError
    return kind(message, hint)


_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))


def of_files(error: OSError) -> InfrastructureError:
    """Return the error for a file of this program's own, in its folders of state, cache and temporary files."""
    if error.errno not in _FULL:
        return InfrastructureError(str(error), "Check the path, the permissions and the free space.")
    file = f": {error.filename}" if error.filename else ""
    hint = "Free some for state, cache and temporary files (TMPDIR), and do it again; a run goes on with --resume RUN."
    return InfrastructureError(f"No space left on device{file}", hint)


# A longer list would push the sentence itself out of sight.
LISTED_CHOICES = 12


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return `; did you mean 'X'?` where a choice is similar to `word`, else a short list of choices, or nothing."""
    known = sorted(choices)  # the same message in every process
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(known)}" if 0 < len(known) <= LISTED_CHOICES else ""
