"""Runs code of ours over untrusted bytes in a child process, with limits on its memory, CPU time and output."""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import InfrastructureError, UsageError
from matrix.runs import fork_server
from matrix.runs.confined_child import Ending
from matrix.runs.fork_server import Forking
from matrix.verdicts.judgement import Limit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

WALL_FACTOR = 10
"""The wall time of an answer in multiples of the limit on CPU time: the machine may have other work, but not for ever.
"""

LOOK_S = 5.0
"""How often a child that has not answered is looked at."""

END_S = 10.0
"""How long a child may take to end once its connection has failed."""

TRACEBACK_BYTES = 64 << 10
"""The most that is read of a child's standard error; a traceback has a few KiB."""

NAME = "the process that reads what a build left"
"""The child's name in messages."""


@dataclass(frozen=True)
class Bounds:
    """The limits of a child: address space, CPU time until its end, and the bytes of an answer."""

    memory_bytes: int
    cpu_s: int
    output_bytes: int


@dataclass(frozen=True)
class Outcome:
    """The output of a child until its end, and the limit that ended it, if one did."""

    output: bytes
    exceeded: Limit | None = None


class ChildDiedError(Exception):
    """A child ended otherwise than by its own result or a limit; its standard error is a note of the exception."""


class LimitExceededError(UsageError):
    """A child exceeded a limit, and was ended there."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(
            f"facts of the cell cannot be read within {limit.value}, the limit on {limit.name}",
            "The tree's build leaves ten times what perf's leaves: see what it writes, in its log or with `shell`.",
        )
        self.limit = limit


def run(task: str, request: bytes, bounds: Bounds) -> Outcome:
    """Run a task over one request in a child process, and return its output.

    Raises:
        UsageError: the task refused its request.
        InfrastructureError: the child did not end in time although it used no CPU time, so the machine is at fault.
        ChildDiedError: the child died of an error or a signal.

    """
    output = bytearray()
    with contextlib.closing(Child(task, bounds)) as child:
        try:
            for block in child.ask(request):
                output += block
        except LimitExceededError as error:
            return Outcome(bytes(output), error.limit)
    return Outcome(bytes(output))


class Child:
    """A child process that answers requests, one after the other, with `main` of the module `task`."""

    def __init__(self, task: str, bounds: Bounds) -> None:
        self.task = task
        self.bounds = bounds
        self._is_answering = False
        limits = (str(bounds.memory_bytes), str(bounds.cpu_s), str(bounds.output_bytes))
        with contextlib.ExitStack() as undo:
            self._errors = undo.enter_context(tempfile.TemporaryFile())
            ours, theirs = multiprocessing.Pipe()
            _bound_sending(ours, bounds.cpu_s * WALL_FACTOR)
            self._connection = undo.enter_context(ours)
            with theirs:
                self._process = fork_server.fork(
                    Forking((task, *limits), connection=theirs.fileno(), errors=self._errors.fileno())
                )
            undo.callback(self._process.close)
            self._resources = undo.pop_all()

    def close(self) -> None:
        """End the process, if it has not ended."""
        self._process.kill()
        self._process.wait()
        self._resources.close()

    @property
    def has_ended(self) -> bool:
        """Whether the process answers no more: it has ended, or an answer was broken off, as by an interrupt."""
        return self._is_answering or self._process.poll() is not None

    def ask(self, request: bytes) -> Iterator[bytes]:
        """Send a request, and return the blocks of the answer as they come.

        Raises:
            UsageError: the task refused its request.
            LimitExceededError: a limit ended the child; the blocks before that were returned.
            InfrastructureError: there is no answer in time although no CPU time is used, so the machine is at fault.
            ChildDiedError: the child died of an error or a signal.

        """
        if self._is_answering and self._process.poll() is None:
            raise ChildDiedError(f"{self.task} was asked before its last answer was read to the end")
        self._is_answering = True
        end = time.monotonic() + self.bounds.cpu_s * WALL_FACTOR
        try:
            self._connection.send_bytes(request)
        except BlockingIOError as error:  # SO_SNDTIMEO
            raise self._silent() from error
        except (BrokenPipeError, ConnectionResetError):
            pass  # a child that has ended reads no request; its end tells why where its answer should come
        return self._answer(end)

    def _answer(self, end: float) -> Iterator[bytes]:
        while block := self._block(end):
            yield block
        self._is_answering = False

    def _block(self, end: float) -> bytes:
        """Return the next block of an answer, which is empty at its end; `end` is the time by which it has to come."""
        while (left_s := end - time.monotonic()) > 0:
            if self._connection.poll(min(LOOK_S, left_s)):
                return self._received()
            if _hangs_without_memory(self._process.pid, self.bounds):
                self._process.kill()
                raise LimitExceededError(_memory(self.bounds))
        raise self._silent()

    def _silent(self) -> InfrastructureError:
        self._process.kill()
        return InfrastructureError(
            f"{NAME} did not answer within {self.bounds.cpu_s * WALL_FACTOR} s, and used less than "
            f"{self.bounds.cpu_s} s of CPU time",
            "Is the machine overloaded, or the disk of the run slow? Run it again: --resume RUN.",
        )

    def _received(self) -> bytes:
        """Return the block that has come; where the child has ended instead, its end is the error that it tells of."""
        try:
            return self._connection.recv_bytes()
        except (EOFError, OSError):  # OSError: in the middle of a block
            status = self._ended()
        self._errors.seek(0)
        complaint = self._errors.read(TRACEBACK_BYTES).decode(errors="replace")
        exceeded = _exceeded(status, self.bounds, complaint)
        raise LimitExceededError(exceeded) if exceeded else _error(self.task, status, complaint)

    def _ended(self) -> int:
        """Return the status of the child, which closes its end of the connection just before it ends."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(END_S)
        self._process.kill()
        return self._process.wait()


def _bound_sending(connection: Connection, time_s: float) -> None:
    """Let no write to a connection wait longer than `time_s` (socket(7), SO_SNDTIMEO, a struct timeval)."""
    with socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", math.ceil(time_s), 0))


def _hangs_without_memory(pid: int, bounds: Bounds) -> bool:
    """Return whether a child sleeps that used up its memory: it waits for nothing else than a disk, which is state D.

    A panic of pydantic's Rust code needs memory itself, and can wait for a lock that it holds.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended meanwhile
        return False
    facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    peak_kib = int(facts.get("VmPeak", "0 kB").split()[0])
    return facts["State"].split()[0] == "S" and peak_kib << 10 > bounds.memory_bytes // 2


def _exceeded(status: int, bounds: Bounds, complaint: str) -> Limit | None:
    """Return the limit that a child's end tells of, or nothing.

    pydantic's parser is written in Rust, which aborts with a message where Python has a MemoryError.
    """
    if status == Ending.MEMORY or (status == -signal.SIGABRT and "memory allocation of" in complaint):
        return _memory(bounds)
    if status == -signal.SIGXCPU:
        return Limit(name="cpu-time", value=f"{bounds.cpu_s} s of CPU time")
    if status == Ending.OUTPUT:
        return Limit(name="result-size", value=f"a result of {bounds.output_bytes >> 10} KiB")
    if status == Ending.DEPTH:
        return Limit(name="nesting", value=f"{sys.getrecursionlimit()} nested calls")
    return None


def _memory(bounds: Bounds) -> Limit:
    return Limit(name="memory", value=f"{bounds.memory_bytes >> 20} MiB of memory")


def _error(task: str, status: int, complaint: str) -> Exception:
    """Return the error of a child that ended otherwise than by a limit."""
    if status == -signal.SIGKILL:
        return InfrastructureError(
            f"{NAME} was killed, as the kernel does where memory is short",
            "Run fewer cells at once (-n), then go on: --resume RUN.",
        )
    if status == Ending.REFUSED:
        refusal = json.loads(complaint)
        kind = UsageError if refusal["is_usage"] else InfrastructureError
        return kind(refusal["message"], refusal["hint"])
    last = complaint.strip().rpartition("\n")[2]
    how = f"was killed by signal {-status}" if status < 0 else f"failed: {last}"
    died = ChildDiedError(f"{task} {how}")
    died.add_note(complaint)
    return died
