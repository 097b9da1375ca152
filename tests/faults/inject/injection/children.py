"""Programs that a process starts, and the questions to the child that parses for it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from .injector import State

FORK_SERVERS: list[int] = []
"""The processes from which those that parse for this one are forked, in the order in which they were started."""


def _starting(real: Any) -> Any:
    def init(self: Any, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        if "confined_child" in str(self.args):
            FORK_SERVERS.append(self.pid)
        if State.injector and State.injector.at("child", str(self.args)[:200]):
            os.kill(self.pid, signal.SIGKILL)

    return init


def _kill_newest_parser() -> None:
    """Kill the process that parses now: one of a file, or else that of the cell's transcript."""
    for server in reversed(FORK_SERVERS):
        for pid in reversed(_children(server)):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    os.kill(pid, signal.SIGKILL)
                    return


def _children(pid: int) -> list[int]:
    """Return the children of a process in the order in which they were started: proc(5), task/TID/children."""
    with contextlib.suppress(OSError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def _conversing(real: Any, boundary: str) -> Any:
    """Watch a call by which a process asks its child that parses, or takes an answer of it."""

    def call(self: Any, *args: Any, **options: Any) -> Any:
        injector = State.injector
        if injector and not injector.is_inside:
            injector.is_inside = True
            kills = injector.at(boundary)
            ends = injector.at("any call", boundary)
            injector.is_inside = False
            if kills:
                _kill_newest_parser()
            if ends:
                os.kill(os.getpid(), getattr(signal, injector.how))
        return real(self, *args, **options)

    return call


def install() -> None:
    """Let programs be started, and children be asked, through this module."""
    subprocess.Popen.__init__ = _starting(subprocess.Popen.__init__)  # type: ignore[method-assign] # as is meant
    ask, answer = Connection.send_bytes, Connection.recv_bytes
    Connection.send_bytes = _conversing(ask, "ask a child")  # type: ignore[method-assign] # as is meant
    Connection.recv_bytes = _conversing(answer, "a child's answer")  # type: ignore[method-assign] # as is meant
