"""The child of confinement.py: limits itself, runs one task from standard input to standard output, and ends."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import json
import os
import resource
import signal
import sys
from enum import IntEnum
from pathlib import Path

from matrix.errors import MatrixError, UsageError

PR_SET_PDEATHSIG = 1  # linux/prctl.h
OOM_SCORE = 500
"""The kernel ends a process with a higher score first: this child, and not the worker that waits for it."""


class Ending(IntEnum):
    """The exit statuses of a child by the reason of its end; Python's own for an error is 1."""

    REFUSED = 80
    MEMORY = 81
    DEPTH = 82
    OUTPUT = 83


def main() -> None:
    """Run `main` of the module that the first argument names, within the limits that the others are.

    The task is given standard input as bytes and yields blocks for standard output.
    """
    task, memory_bytes, cpu_s, output_bytes = sys.argv[1], *map(int, sys.argv[2:])
    _end_with_parent()
    _limit(memory_bytes, cpu_s, output_bytes)
    os._exit(_status(task))  # no clean-up: memory may be short


def _end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends; an interrupt is the parent's to handle."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")


def _limit(memory_bytes: int, cpu_s: int, output_bytes: int) -> None:
    """Set the limits of setrlimit(2) on this process; the hard one on CPU time ends code that ignores SIGXCPU."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (output_bytes, output_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _status(task: str) -> int:
    """Run the task, and return the exit status for its end."""
    try:
        _run(task)
    except MemoryError:
        return Ending.MEMORY
    except RecursionError:
        return Ending.DEPTH
    except MatrixError as error:
        is_usage = isinstance(error, UsageError)
        sys.stderr.write(json.dumps({"message": error.args[0], "hint": error.hint, "is_usage": is_usage}))
        sys.stderr.flush()
        return Ending.REFUSED
    except BaseException as error:  # noqa: BLE001 - the parent raises it
        return _ending(error)
    return 0


def _ending(error: BaseException) -> int:
    if _is_too_much_output(error):
        return Ending.OUTPUT
    return Ending.MEMORY if _is_null_object(error) else _failed(error)


def _is_null_object(error: BaseException) -> bool:
    """Return whether Python had no memory for an object that pydantic's Rust code asked for: PyO3 panics so then."""
    return type(error).__name__ == "PanicException" and "PyObject pointer is null" in str(error)


def _is_too_much_output(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EFBIG


def _run(task: str) -> None:
    request = sys.stdin.buffer.read()
    for block in importlib.import_module(task).main(request):
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()


def _failed(error: BaseException) -> int:
    sys.excepthook(type(error), error, error.__traceback__)
    sys.stderr.flush()
    return 1
