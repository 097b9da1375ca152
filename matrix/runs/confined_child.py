"""The child of confinement.py: limits itself, and answers requests by the code of one task, until there are no more.

Children are forked by the process of fork_server.py, whose part is here, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
from enum import IntEnum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

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


NUMBER = struct.Struct("i")
"""The form of a child's process id and of its exit status, which are told one after the other."""

ARGUMENTS_BYTES = 4 << 10
"""The most that is read of a child's arguments: the name of a task and four numbers."""


def serve() -> None:
    """Fork a child for each message on the socket of the first argument, until its other end is closed.

    A message has a child's arguments, and the descriptors of its connection, of its standard error, and of the socket
    on which its end is told. This process reads nothing else, so that a child has seen nothing of another one's files.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the parent's to handle
    _Forks(socket.socket(fileno=int(sys.argv[1]))).serve()


class _Forks:
    """The children that were forked and have not ended, and the sockets on which their ends are told."""

    def __init__(self, asked: socket.socket) -> None:
        self._asked = asked
        self._told: dict[int, socket.socket] = {}
        signal.signal(signal.SIGCHLD, lambda *_: self._tell_ends())

    def serve(self) -> None:
        while True:
            message, descriptors, _, _ = socket.recv_fds(self._asked, ARGUMENTS_BYTES, 3)
            if not message:
                return
            self._fork(json.loads(message), *descriptors)

    def _fork(self, argv: list[str], connection: int, errors: int, told: int) -> None:
        _import_ours(argv[0])
        parent = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # until the child is known
        pid = os.fork()
        if not pid:
            self._become(parent, [argv[0], str(connection), *argv[1:]], errors, told)
        self._told[pid] = socket.socket(fileno=told)
        _tell(self._told[pid], pid)
        for descriptor in (connection, errors):
            os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def _become(self, parent: int, argv: list[str], errors: int, told: int) -> NoReturn:
        """Be the child, and never return; nothing of the other children is left open."""
        try:
            _end_with(parent)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            os.dup2(errors, 2)
            os.close(errors)
            os.close(told)
            for one in (self._asked, *self._told.values()):
                one.close()
            sys.argv = ["-c", *argv]
            _main()
        except BaseException as error:  # noqa: BLE001 - the parent raises it
            _failed(error)
        os._exit(1)

    def _tell_ends(self) -> None:
        """Tell the status of each child that has ended, and only then let the kernel give its process id to another."""
        while ended := _ended():
            pid, status = ended
            with self._told.pop(pid) as told:
                _tell(told, status)
            os.waitpid(pid, 0)


def _ended() -> tuple[int, int] | None:
    """Return the process id of a child that has ended, and its status, negative for a signal's number."""
    with contextlib.suppress(ChildProcessError):
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found:
            return found.si_pid, found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
    return None


def _tell(told: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # nobody waits for it any more
        told.send(NUMBER.pack(number))


def _import_ours(task: str) -> None:
    """Import a task of ours once for all of its children; one that cannot be imported is the child's failure."""
    if task.startswith("matrix."):
        with contextlib.suppress(Exception):
            importlib.import_module(task)


def _main() -> NoReturn:
    """Run `main` of the module that the first argument names, within the limits that the others are.

    The task is given a request as bytes and yields the blocks of an answer. Requests and answers are messages on the
    connection of the second argument, and an empty one ends an answer.
    """
    task, descriptor, memory_bytes, cpu_s, output_bytes = sys.argv[1], *map(int, sys.argv[2:])
    _limit(memory_bytes, cpu_s)
    # The facts of a cell are half a million objects that live as long as this process, and none refers to itself: the
    # collector's visits to them take a fifth of the CPU time, and free nothing.
    gc.disable()
    os._exit(_status(task, Connection(descriptor), output_bytes))  # no clean-up: memory may be short


def _end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, and first of all where memory is short."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before the kernel knew of the wish
        os._exit(1)
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
