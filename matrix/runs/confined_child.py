"""The child of confinement.py: limits itself, and answers requests by the code of one task, until there are no more."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import sys
from enum import IntEnum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import MatrixError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

PR_SET_PDEATHSIG = 1  # linux/prctl.h
OOM_SCORE = 500
"""The kernel ends a process with a higher score first: this child, and not the worker that waits for it."""


COMPLAINT_BYTES = 1 << 20
"""The most that the child writes to its standard error, which is the only file that it writes to."""


MESSAGE_CHARS = 4_000
"""The most of a message: some quote what they refuse."""


class _TooMuchOutputError(Exception):
    """An answer has more bytes than it may have."""


class Ending(IntEnum):
    """The exit statuses of a child by the reason of its end; Python's own for an error is 1."""

    REFUSED = 80
    MEMORY = 81
    DEPTH = 82
    OUTPUT = 83


def main() -> None:
    """Run `main` of the module that the first argument names, within the limits that the others are.

    The task is given a request as bytes and yields the blocks of an answer. Requests and answers are messages on the
    connection of the second argument, and an empty one ends an answer.
    """
    task, descriptor, memory_bytes, cpu_s, output_bytes = sys.argv[1], *map(int, sys.argv[2:])
    _end_with_parent()
    _limit(memory_bytes, cpu_s)
    os._exit(_status(task, Connection(descriptor), output_bytes))  # no clean-up: memory may be short


def _end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends; an interrupt is the parent's to handle."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")


def _limit(memory_bytes: int, cpu_s: int) -> None:
    """Set the limits of setrlimit(2) on this process; the hard one on CPU time ends code that ignores SIGXCPU."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (COMPLAINT_BYTES, COMPLAINT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _status(task: str, connection: Connection, output_bytes: int) -> int:
    """Run the task, and return the exit status for its end."""
    try:
        _run(task, connection, output_bytes)
    except MemoryError:
        return Ending.MEMORY
    except RecursionError:
        return Ending.DEPTH
    except _TooMuchOutputError:
        return Ending.OUTPUT
    except MatrixError as error:
        is_usage = isinstance(error, UsageError)
        message = error.message[:MESSAGE_CHARS]
        sys.stderr.write(json.dumps({"message": message, "hint": error.hint, "is_usage": is_usage}))
        sys.stderr.flush()
        return Ending.REFUSED
    except BaseException as error:  # noqa: BLE001 - the parent raises it
        return Ending.MEMORY if _is_null_object(error) else _failed(error)
    return 0


def _is_null_object(error: BaseException) -> bool:
    """Return whether Python had no memory for an object that pydantic's Rust code asked for: PyO3 panics so then."""
    return type(error).__name__ == "PanicException" and "PyObject pointer is null" in str(error)


def _run(task: str, connection: Connection, output_bytes: int) -> None:
    """Answer requests until the parent closes the connection."""
    main = importlib.import_module(task).main
    for request in iter(lambda: _request(connection), None):
        _answer(main(request), connection, output_bytes)


def _request(connection: Connection) -> bytes | None:
    try:
        return connection.recv_bytes()
    except EOFError:
        return None


def _answer(blocks: Iterable[bytes], connection: Connection, output_bytes: int) -> None:
    left = output_bytes
    for block in filter(None, blocks):
        left -= len(block)
        if left < 0:
            raise _TooMuchOutputError
        connection.send_bytes(block)
    connection.send_bytes(b"")


def _failed(error: BaseException) -> int:
    sys.excepthook(type(error), error, error.__traceback__)
    sys.stderr.flush()
    return 1
