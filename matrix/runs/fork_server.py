"""Children that are forked from one process, which has imported their modules once and reads nothing untrusted.

A start of Python with the imports of a child takes some 0.3 s of CPU time, and a cell has a dozen children; a fork
takes some milliseconds. The process ends with the one that started it, and its children end with it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass

from matrix.errors import InfrastructureError
from matrix.runs.confined_child import NUMBER

ANSWER_S = 120.0
"""How long a fork may take, with the imports of the first one, on a machine that has other work."""

END_S = 10.0
"""How long the process may take to end once its socket is closed."""

_START = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
from matrix.runs import confined_child
confined_child.serve()
"""
"""The program of the process: it finds modules where its parent does, and never in the folder that it is started in."""


@dataclass(frozen=True)
class Forking:
    """The words of a child's command line, and the descriptors of its connection and of its standard error."""

    argv: tuple[str, ...]
    connection: int
    errors: int


class ForkedProcess:
    """A forked child: the part of subprocess.Popen that can be had of a process that is another one's child."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid = pid
        self._told = told
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal's number, or None where the child has not ended."""
        with contextlib.suppress(BlockingIOError):
            return self._ended(0.0)
        return None

    def wait(self, patience_s: float | None = None) -> int:
        """Return the exit status as soon as there is one.

        Raises:
            subprocess.TimeoutExpired: there is none after `patience_s`.

        """
        try:
            return self._ended(patience_s)
        except TimeoutError as error:
            raise subprocess.TimeoutExpired("a forked child", patience_s or 0.0) from error

    def kill(self) -> None:
        """Kill the child, if it has not ended: it keeps its process id until its status was sent."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Forget the child, which has ended."""
        self._told.close()

    def _ended(self, patience_s: float | None) -> int:
        if self._status is None:
            self._told.settimeout(patience_s)
            self._status = _number(self._told, -signal.SIGKILL)  # as it is killed where the process ends
        return self._status


class ForkServer:
    """The process that children are forked from; it finds modules in the folders of `path`."""

    def __init__(self, path: tuple[str, ...]) -> None:
        self.path = path
        self.owner = os.getpid()
        self._children = weakref.WeakSet[ForkedProcess]()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # -I: nothing from the environment. -B: a limit would cut short the compiled modules written for others.
        argv = [sys.executable, "-I", "-B", "-c", _START, json.dumps(path), str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
                pass_fds=(theirs.fileno(),),
            )  # fmt: skip

    def fork(self, asked: Forking) -> ForkedProcess:
        """Fork a child.

        Raises:
            OSError: the process has ended.

        """
        told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        told.settimeout(ANSWER_S)
        with contextlib.ExitStack() as undo:
            undo.callback(told.close)
            with theirs:
                descriptors = [asked.connection, asked.errors, theirs.fileno()]
                socket.send_fds(self._socket, [json.dumps(asked.argv).encode()], descriptors)
            pid = _number(told, 0)
            if not pid:
                raise ConnectionResetError("the process that children are forked from has ended")
            undo.pop_all()
        child = ForkedProcess(pid, told)
        self._children.add(child)
        return child

    @property
    def is_idle(self) -> bool:
        """Whether no child of it lives."""
        return all(child.poll() is not None for child in self._children)

    def close(self) -> None:
        """End the process, and with it the children that live."""
        self._socket.close()
        if self.owner == os.getpid():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)
            self._process.kill()
            self._process.wait()


def _number(told: socket.socket, otherwise: int) -> int:
    """Return the next number that is told of a child, or `otherwise` where the end of the socket was closed."""
    try:
        data = told.recv(NUMBER.size)
    except ConnectionResetError:
        data = b""
    return int(NUMBER.unpack(data)[0]) if data else otherwise


class _Servers:
    """The fork servers of a process: one for its path of modules, started when it is first asked for.

    Another one is started where that one has ended, or the path is another; those before it end with their children.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: list[ForkServer] = []

    def fork(self, asked: Forking) -> ForkedProcess:
        with self._lock:
            for _ in range(2):
                server = self._running()
                with contextlib.suppress(OSError):
                    return server.fork(asked)
                self._close(server)  # as after the kernel killed it
        raise InfrastructureError(
            "the process that children are forked from ends by itself", "Is there memory enough? Run fewer cells (-n)."
        )

    def close(self) -> None:
        with self._lock:
            for server in list(self._servers):
                self._close(server)

    def _running(self) -> ForkServer:
        path = tuple(folder for folder in sys.path if folder)  # "" is the current folder, whoever wrote it
        for server in [server for server in self._servers if (server.path, server.owner) != (path, os.getpid())]:
            if server.is_idle:
                self._close(server)
        usable = [server for server in self._servers if (server.path, server.owner) == (path, os.getpid())]
        if not usable:
            usable = [ForkServer(path)]
            self._servers += usable
        return usable[0]

    def _close(self, server: ForkServer) -> None:
        server.close()
        self._servers.remove(server)


_servers = _Servers()
atexit.register(_servers.close)

fork = _servers.fork
"""Fork a child from this process's fork server.

Raises:
    InfrastructureError: it cannot be forked.

"""
