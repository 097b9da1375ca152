"""Injects one fault into a process of the matrix, at the boundary and number that a plan names.

Python imports this module at the start of the command, of the run's pytest and of its workers, as its folder is on
their PYTHONPATH (documentation of the module `site`). Faults are raised from an audit hook (PEP 578), which sees every
call to the system before it is made, whichever code makes it; nothing of the program under test is changed for it.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import importlib
import importlib.abc
import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

PLAN = "MATRIX_FAULT_PLAN"
"""The environment variable with the path of the plan, a JSON object with the fields of `Injector`."""

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
DAY_S = 86400
LASTING = {
    "ENOSPC": {"open to write", "write", "flush", "make folder"},
    "EROFS": {"open to write", "write", "make folder", "rename", "remove"},
}
"""The boundaries that fail for good on a disk that is full, and on one that was mounted read-only."""

SHORTER: dict[str, dict[str, float]] = {
    "matrix.engine.backends.docker.client": {"ANSWER_S": 10, "WORK_S": 15, "HANGING_S": 2},
    "matrix.engine.backends.docker.streams": {"SILENCE_S": 5, "OVERTIME_S": 5, "CONNECT_S": 10, "END_S": 4},
    "matrix.engine.backends.docker.cell": {"READ_S": 10, "FILL_S": 10},
    "matrix.runs.execution": {"SCAN_S": 10},
}
"""Times that the program waits for an engine which does not answer: minutes, of which a campaign has none."""


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
    children: list[int] = []  # noqa: RUF012 - one for the process
    """The processes that parse for this one, in the order in which they were started."""


def _append(path: str, line: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)


def _path(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, str | bytes | os.PathLike) else ""


SIMPLE = {
    "os.rename": "rename",
    "os.mkdir": "make folder",
    "os.remove": "remove",
    "os.rmdir": "remove",
    "os.listdir": "list folder",
    "os.scandir": "list folder",
}
NOTED = {"os.rename": "rename", "os.mkdir": "make folder"}


REAL_LSTAT = os.lstat


def _is_new(path: str) -> bool:
    try:
        REAL_LSTAT(path)
    except OSError:
        return True
    return False


def _opened(injector: Injector, args: tuple[Any, ...]) -> None:
    path = _path(args[0])
    if path.startswith(injector.below):
        flags = args[2] if isinstance(args[2], int) else 0
        injector.system_call("open to write" if flags & WRITES else "open to read", path)
        if flags & WRITES:
            injector.note("write", path)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    """Look at an event of Python's (its documentation: "Audit events table")."""
    injector = State.injector
    if injector is None:
        return
    if event == "open":
        _opened(injector, args)
    elif event in SIMPLE:
        path = _path(args[0])
        if path.startswith(injector.below):
            injector.system_call(SIMPLE[event], path)
            is_new = event != "os.mkdir" or _is_new(path)
            if event in NOTED and is_new:
                injector.note(NOTED[event], path, _path(args[1]) if event == "os.rename" else "")
    elif event == "fcntl.flock":
        injector.system_call("lock", "")
    elif event == "socket.connect" and isinstance(args[1], str) and args[1].startswith(injector.below):
        injector.system_call("connect", args[1])
    elif event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] == "127.0.0.1":
        injector.system_call("connect to the server", str(args[1]))
    elif event == "subprocess.Popen":
        injector.system_call("start a program", str(args[0]))


class _FullDisk(io.FileIO):
    """A file on a disk that takes half of the first block and nothing more, or that fails at once."""

    number = errno.ENOSPC
    is_short = True

    def write(self, data: Any, /) -> int:
        if self.is_short:
            self.is_short = False
            half = memoryview(data)[: len(data) // 2]
            if len(half):
                return super().write(half)
        raise OSError(self.number, os.strerror(self.number))


class _BadClose(io.FileIO):
    """A file whose close fails, as where a network's file system writes only then; the file is closed (close(2))."""

    number = errno.EIO

    def close(self) -> None:
        is_first = not self.closed
        super().close()
        if is_first:
            raise OSError(self.number, os.strerror(self.number))


class _BadRead(io.FileIO):
    """A file on a disk that cannot read its first block."""

    def readinto(self, _: Any, /) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def readall(self) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def _as_raw(mode: str) -> str:
    return mode.replace("b", "").replace("t", "")


def _wrapped(raw: io.FileIO, mode: str, options: dict[str, Any]) -> Any:
    buffer: Any = io.BufferedReader(raw) if isinstance(raw, _BadRead) else io.BufferedWriter(raw)
    if "b" in mode:
        return buffer
    return io.TextIOWrapper(buffer, encoding=options.get("encoding"), errors=options.get("errors"))


def _faulty(injector: Injector, path: str, mode: str) -> io.FileIO | None:
    """Return a file whose reads, writes or close fail, where that is due at this one."""
    if not set(mode) & set("wax+"):
        return _BadRead(path, _as_raw(mode)) if injector.at("read", path) else None
    if injector.at("write", path):
        written = _FullDisk(path, _as_raw(mode))
        written.is_short = injector.how in ("short", "ENOSPC")
        written.number = errno.ENOSPC if written.is_short else getattr(errno, injector.how)
        return written
    if injector.at("close", path):
        closed = _BadClose(path, _as_raw(mode))
        closed.number = getattr(errno, injector.how)
        return closed
    return None


def _opening(real: Any) -> Any:
    def opened(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        injector = State.injector
        if not injector or not _path(file).startswith(injector.below):
            return real(file, mode, *args, **options)
        raw = _faulty(injector, _path(file), mode)
        return real(file, mode, *args, **options) if raw is None else _wrapped(raw, mode, options)

    return opened


def _looking(real: Any) -> Any:
    def stat(path: Any, *args: Any, **options: Any) -> Any:
        injector = State.injector
        if injector and _path(path).startswith(injector.below):
            injector.system_call("stat", _path(path))
        return real(path, *args, **options)

    return stat


def _flushing(real: Any) -> Any:
    def fsync(descriptor: int) -> None:
        injector = State.injector
        if injector:
            path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
            injector.system_call("flush", path)
            injector.note("flush", path)
        real(descriptor)

    return fsync


def _starting(real: Any) -> Any:
    def init(self: Any, *args: Any, **options: Any) -> None:
        real(self, *args, **options)
        if "confined_child" in str(self.args):
            State.children.append(self.pid)
        if State.injector and State.injector.at("child", str(self.args)[:200]):
            os.kill(self.pid, signal.SIGKILL)

    return init


def _kill_newest_child() -> None:
    """Kill the process that parses now: one of a file, or else that of the cell's transcript."""
    for pid in reversed(State.children):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                os.kill(pid, signal.SIGKILL)
                return


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
                _kill_newest_child()
            if ends:
                os.kill(os.getpid(), getattr(signal, injector.how))
        return real(self, *args, **options)

    return call


def _clock(real: Any) -> Any:
    def now() -> float:
        injector = State.injector
        if injector is None:
            return float(real())
        caller = sys._getframe(1).f_code.co_filename
        if "/matrix/" in caller and injector.at("clock", caller):
            injector.shift_s = float(injector.how) * DAY_S
        return float(real() + injector.shift_s)

    return now


class _Shortening(importlib.abc.MetaPathFinder):
    """Sets the constants of SHORTER in the modules that have them, when they are imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        del path, target
        if name not in SHORTER:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            run = loader.exec_module

            def run_and_set(module: Any) -> None:
                run(module)
                for constant, value in SHORTER[name].items():
                    if not hasattr(module, constant):
                        raise AttributeError(f"{name} has no {constant}")
                    setattr(module, constant, value)

            loader.exec_module = run_and_set
        return spec


def shorten() -> None:
    """Set the constants of SHORTER now."""
    for name, constants in SHORTER.items():
        module = importlib.import_module(name)
        for constant, value in constants.items():
            if not hasattr(module, constant):
                raise AttributeError(f"{name} has no {constant}")
            setattr(module, constant, value)


def _role() -> str:
    """Return which process of a run this is; nothing for any other Python."""
    words = sys.orig_argv
    if words[1:3] == ["-m", "matrix"]:
        return "command"
    if words[1:3] == ["-m", "pytest"]:
        return "controller"
    return "worker" if "-c" in words and "exec(eval(sys.stdin.readline()))" in words[-1] else ""


def install() -> None:
    """Put the boundaries under watch, once in an interpreter."""
    builtins.open = io.open = _opening(io.open)
    os.fsync = _flushing(os.fsync)
    real_stat = os.stat
    os.stat, os.lstat = _looking(os.stat), _looking(os.lstat)
    for known in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if real_stat in known:  # as shutil looks there whether it can remove a folder without races
            known.add(os.stat)
    subprocess.Popen.__init__ = _starting(subprocess.Popen.__init__)  # type: ignore[method-assign]
    Connection.send_bytes = _conversing(Connection.send_bytes, "ask a child")  # type: ignore[method-assign]
    Connection.recv_bytes = _conversing(Connection.recv_bytes, "a child's answer")  # type: ignore[method-assign]
    real_time, real_gmtime = time.time, time.gmtime
    time.time = _clock(real_time)
    time.gmtime = lambda *at: real_gmtime(*(at or (real_time() + (State.injector.shift_s if State.injector else 0),)))
    sys.addaudithook(_hook)


def arm() -> None:
    """Take the plan for this process, if it is one of a run's and there is one."""
    State.injector = None
    role = _role()
    if role and PLAN in os.environ:
        State.injector = Injector(json.loads(Path(os.environ[PLAN]).read_bytes()), role)


if __name__ == "sitecustomize" and PLAN in os.environ and _role():
    sys.meta_path.insert(0, _Shortening())
    install()
    arm()
