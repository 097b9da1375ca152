"""Runs code of ours over untrusted bytes in a child process, with limits on its memory, CPU time and output."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from matrix.errors import InfrastructureError, UsageError
from matrix.runs.confined_child import Ending
from matrix.verdicts.judgement import Limit

if TYPE_CHECKING:
    from collections.abc import Iterator

WALL_FACTOR = 10
"""The wall time of a child in multiples of its limit on CPU time: the machine may have other work, but not for ever."""

LOOK_S = 5.0
"""How often a child that has not ended is looked at."""

TRACEBACK_BYTES = 64 << 10
"""The most that is read of a child's standard error; a traceback has a few KiB."""

_START = """
import json, sys
sys.path[:] = json.loads(sys.argv.pop(1))
from matrix.runs import confined_child
confined_child.main()
"""
"""The program of a child: it finds modules where its parent does, and never in the folder that it is started in."""


@dataclass(frozen=True)
class Bounds:
    """The limits of a child: address space, CPU time, and the bytes that it may write."""

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


def run(task: str, request: bytes, bounds: Bounds) -> Outcome:
    """Run `main` of the module `task` over a request in a child process, and return its output.

    Raises:
        UsageError: the task refused its request.
        InfrastructureError: the child did not end in time although it used no CPU time, so the machine is at fault.
        ChildDiedError: the child died of an error or a signal.

    """
    # Files and no pipes: RLIMIT_FSIZE bounds files alone, and nobody need read while the child runs.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as written, tempfile.TemporaryFile() as errors:
        given.write(request)
        given.seek(0)
        with _started(task, bounds, (given, written, errors)) as child:
            status = _waited(child, task, bounds)
        written.seek(0)
        errors.seek(0)
        output = written.read(bounds.output_bytes)
        exceeded = _exceeded(status, bounds, complaint := errors.read(TRACEBACK_BYTES).decode(errors="replace"))
    if exceeded is None:
        _raise_what_went_wrong(task, status, complaint)
    return Outcome(output, exceeded)


@contextlib.contextmanager
def _started(
    task: str, bounds: Bounds, files: tuple[IO[bytes], IO[bytes], IO[bytes]]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child, which is killed where the body of the `with` ends before it does."""
    limits = (str(bounds.memory_bytes), str(bounds.cpu_s), str(bounds.output_bytes))
    # -I: nothing from the environment. -B: a limit would cut short the compiled modules that a child writes for others.
    path = json.dumps([folder for folder in sys.path if folder])  # "" is the current folder, whoever wrote it
    argv = [sys.executable, "-I", "-B", "-c", _START, path, task, *limits]
    given, written, errors = files
    with subprocess.Popen(argv, stdin=given, stdout=written, stderr=errors, cwd="/") as child:
        try:
            yield child
        finally:
            child.kill()


def _waited(child: subprocess.Popen[bytes], task: str, bounds: Bounds) -> int:
    """Return the status that a child ends with."""
    deadline_s = bounds.cpu_s * WALL_FACTOR
    end = time.monotonic() + deadline_s
    while (left_s := end - time.monotonic()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(min(LOOK_S, left_s))
        if _hangs_without_memory(child.pid, bounds):
            return Ending.MEMORY
    raise InfrastructureError(
        f"{task} did not end within {deadline_s} s, and used less than {bounds.cpu_s} s of CPU time",
        "Is the machine overloaded, or the disk of the run slow? Run it again: --resume RUN.",
    )


def _hangs_without_memory(pid: int, bounds: Bounds) -> bool:
    """Return whether a child sleeps that used up its memory: it waits for nothing else than a disk, which is state D.

    A panic of pydantic's Rust code needs memory itself, and can wait for a lock that it holds.
    """
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    peak_kib = int(facts.get("VmPeak", "0 kB").split()[0])
    return facts["State"].split()[0] == "S" and peak_kib << 10 > bounds.memory_bytes // 2


def _exceeded(status: int, bounds: Bounds, complaint: str) -> Limit | None:
    """Return the limit that a child's end tells of, or nothing.

    pydantic's parser is written in Rust, which aborts with a message where Python has a MemoryError.
    """
    if status == Ending.MEMORY or (status == -signal.SIGABRT and "memory allocation of" in complaint):
        return Limit(name="memory", value=f"{bounds.memory_bytes >> 20} MiB of memory")
    if status == -signal.SIGXCPU:
        return Limit(name="cpu-time", value=f"{bounds.cpu_s} s of CPU time")
    if status == Ending.OUTPUT:
        return Limit(name="result-size", value=f"a result of {bounds.output_bytes >> 10} KiB")
    if status == Ending.DEPTH:
        return Limit(name="nesting", value=f"{sys.getrecursionlimit()} nested calls")
    return None


def _raise_what_went_wrong(task: str, status: int, complaint: str) -> None:
    if status == Ending.REFUSED:
        refusal = json.loads(complaint)
        kind = UsageError if refusal["is_usage"] else InfrastructureError
        raise kind(refusal["message"], refusal["hint"])
    if status:
        last = complaint.strip().rpartition("\n")[2]
        how = f"was killed by signal {-status}" if status < 0 else f"failed: {last}"
        died = ChildDiedError(f"{task} {how}")
        died.add_note(complaint)
        raise died
