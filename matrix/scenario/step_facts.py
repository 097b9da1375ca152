"""The facts of one step: the files, processes and commands of the agent's records. Pure; works on saved ones too."""

from __future__ import annotations

import itertools
import posixpath
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, FiniteFloat, NonNegativeInt, StrictInt, TypeAdapter

from matrix.scenario import perf
from matrix.scenario.plan import GENERATED, Step

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOTS = {"source": perf.SOURCE, "output": perf.OUTPUT, "generated": GENERATED}
# The names of a tool chain's programs: TARGET-TOOL-VERSION, the target a triple as of config.guess.
_TARGET = re.compile(r"^[a-z0-9_]{1,40}(?:-[a-z0-9_]{1,40})?-linux-[a-z0-9_]{1,40}-")
_VERSION = re.compile(r"-[0-9.]{1,20}$")

FREE_FLOOR_BYTES = 4 << 20
"""The free space at a command's end below which the disk counts as full: a compiler removes what did not fit."""

Words = Annotated[tuple[str, ...], Field(min_length=1)]
Int64 = Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)]
"""A number of the kernel, of 64 bits with or without a sign: a larger one is no float, and would end a check."""
Seconds = Annotated[FiniteFloat, Field(ge=-1e12, le=1e12)]
"""A time or a duration: the kernel has none beyond some hundred years from 1970, and sums of these stay finite."""


class _Record:
    """A record that the agent writes, which is untrusted: keys other than its own are refused."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class _End(_Record):
    oom_kills: NonNegativeInt
    fork_failures: NonNegativeInt


@dataclass(frozen=True)
class File(_Record):
    """One directory entry: `type` is a word as `file`, `mode` the permission bits, `size` in bytes, `ino` its inode.

    `content` is the sha256 of a file or the target of a link. `ctime_ns` is the time of the inode's last change, which
    no program can put back (inode(7)); transcripts of version 0.2.0 and before have none.
    """

    type: str
    mode: Int64
    size: Int64
    mtime_ns: Int64
    ino: Int64
    content: str
    ctime_ns: Int64 | None = None

    def equals(self, other: File) -> bool:
        """Return whether another entry is of the same type and has the same content."""
        return (self.type, self.content) == (other.type, other.content)


@dataclass(frozen=True)
class Process(_Record):
    """One process, from fork to exit; times in seconds since the epoch, `argvs` and `stdouts` one per exec.

    `stdouts` says what its standard output was at each exec, as /proc names it (`pipe:[4711]`).
    """

    index: Int64
    parent: Int64 | None
    start: Seconds
    end: Seconds | None
    argvs: tuple[Words, ...]
    cwd: str
    cpu_ns: Int64
    rss_kib: Int64
    status: Int64 | None
    threads: Int64
    stdouts: tuple[str, ...] = ()

    @property
    def argv(self) -> tuple[str, ...]:
        """The words of the last program; empty for a fork without an exec."""
        return self.argvs[-1] if self.argvs else ()

    @property
    def first(self) -> tuple[str, ...]:
        """The words of the first program, which the parent started and which may have become another by exec."""
        return self.argvs[0] if self.argvs else ()

    @cached_property
    def program(self) -> str:
        """The last program's name without its folder."""
        return posixpath.basename(self.argv[0]) if self.argv else ""  # make runs gcc by name, gcc runs cc1 by path


@dataclass(frozen=True)
class Ran(_Record):
    """One command of a step as it was run: the agent's record `command`, with its processes where it was traced.

    `began` is in seconds since the epoch, `free_bytes` the free space of the disk at its end, `left_running` are the
    command lines of processes that outlived it, `output` its standard output where that was captured.
    """

    label: str
    argv: Words
    exit_status: StrictInt
    began: Seconds
    wall_s: Seconds
    user_s: Seconds
    system_s: Seconds
    rss_bytes: Int64
    traced: bool
    timed_out: bool
    free_bytes: Int64 | None
    left_running: tuple[Words, ...]
    log_dropped_bytes: Int64
    output: str | None
    processes: tuple[Process, ...]
    untraced: tuple[Words, ...] = ()


@dataclass(frozen=True)
class StepFacts:
    """The facts of one step as it was run.

    `files` maps paths inside the cell, `missing` are the tree's paths that have gone. `mentions` maps the command files
    of objects (`.cmd`) to the files that they name. `evidence` are the lines of the log that most likely say why it
    failed. `ended` says whether the agent's last record was there.
    """

    step: Step
    log: str
    error: str = ""
    evidence: tuple[str, ...] = ()
    commands: tuple[Ran, ...] = ()
    files: dict[str, File] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    mentions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    oom_kills: int = 0
    fork_failures: int = 0
    ended: bool = False

    @property
    def processes(self) -> tuple[Process, ...]:
        """The processes of the step's first traced command."""
        return next((ran.processes for ran in self.commands if ran.traced), ())

    @property
    def cpu_s(self) -> float:
        """The CPU time of the step's commands, in seconds."""
        return sum(ran.user_s + ran.system_s for ran in self.commands)

    @property
    def traced(self) -> bool:
        """Whether the step's processes are known."""
        return any(ran.traced for ran in self.commands)

    @property
    def failure(self) -> str:
        """The reason why the step failed, or nothing; limits come before exit statuses, which they explain."""
        return next((sentence for failed, sentence in self._failures() if failed), "")

    def _failures(self) -> tuple[tuple[object, str], ...]:
        """Return each way in which a step can fail: whether it did, and the sentence that says so."""
        return (
            (self.error, self.error),
            (self._timed_out, f"ended after {self.step.timeout_s} s, the limit on a step"),
            (self.oom_kills, f"hit the limit on memory (processes killed: {self.oom_kills})"),
            (self.fork_failures, f"hit the limit on processes (forks refused: {self.fork_failures})"),
            (self._disk_is_full, "filled the disk space that a cell may use"),
            (self._failed_command, self._failed_command),
            (self._untraced, f"ran what cannot be followed: {'; '.join(self._untraced[:3])}"),
            (self._log_is_cut, f"printed more than {self.step.log_bytes >> 20} MiB, the limit on a command's log"),
            (not self.ended, "the step's facts end early"),
            (self.unreadable, f"left what cannot be read: {'; '.join(self.unreadable[:3])}"),
        )

    @property
    def _timed_out(self) -> bool:
        return any(ran.timed_out for ran in self.commands)

    @property
    def _untraced(self) -> list[str]:
        """The command lines of processes that lived at a command's end and had no tracer."""
        return [" ".join(words) for ran in self.commands for words in ran.untraced]

    @property
    def _log_is_cut(self) -> bool:
        return any(ran.log_dropped_bytes for ran in self.commands)

    @property
    def _disk_is_full(self) -> bool:
        free = [ran.free_bytes for ran in self.commands if ran.free_bytes is not None]
        return min(free, default=FREE_FLOOR_BYTES) < FREE_FLOOR_BYTES

    @property
    def _failed_command(self) -> str:
        """The first command with an exit status other than 0, unless the step goes on whatever its commands do."""
        failed = next((ran for ran in self.commands if ran.exit_status), None)
        if failed is None or self.step.keep_going:
            return ""
        return f"exit status {failed.exit_status} of {failed.argv[0]}"


def absolute(root: str, path: str) -> str:
    """Return a scanned path as it is inside the cell."""
    return posixpath.normpath(posixpath.join(ROOTS[root], path))


def step_facts(step: Step, log: str, records: Iterable[Any], error: str, missing: Iterable[str]) -> StepFacts:
    """Return one step's facts from the agent's records, which are untrusted: a record of another form is refused.

    Raises:
        ValueError: a record is not as the agent writes it.

    """
    processes: list[Process] = []
    commands: list[Ran] = []
    files: dict[str, File] = {}
    mentions: dict[str, list[str]] = {}
    unreadable: list[str] = []
    end: _End | None = None
    try:
        for kind, *rest in records:
            if kind == "process":
                processes.append(_process(rest[0], rest[1]))
            elif kind == "command":
                commands.append(_RAN.validate_python({**rest[0], "processes": processes}))
                processes = []  # a command's processes come before it
            elif kind == "file":
                files[absolute(rest[0], rest[1])] = _FILE.validate_python(rest[2])
            elif kind == "mention":
                mentions.setdefault(absolute(rest[0], rest[1]), []).extend(_WORDS.validate_python(rest[2]))
            elif kind == "unreadable":
                unreadable.append(f"{rest[0]}: {rest[1]}")
            elif kind == "end":
                end = _END.validate_python(rest[0])
    except (TypeError, KeyError, IndexError, AttributeError, ValueError, OverflowError) as problem:
        raise ValueError(f"a record of step {step.name} is not as the agent writes it: {problem!r}") from problem
    return StepFacts(
        step=step,
        log=log,
        error=error,
        commands=tuple(commands),
        files=files,
        missing=tuple(missing),
        unreadable=tuple(unreadable),
        mentions={path: tuple(words) for path, words in mentions.items()},
        ended=end is not None,
        oom_kills=end.oom_kills if end else 0,
        fork_failures=end.fork_failures if end else 0,
    )


def _process(index: Any, facts: Any) -> Process:
    """Return a process; the agent numbers processes as they start, so that a parent has a lower number.

    Where the first word of a command line does not lead to the program that was run, the program takes its place: any
    program may be given any words (execve(2)).
    """
    known = dict(facts)
    programs = known.pop("programs", [])
    argvs = [_with_program(argv, program) for argv, program in itertools.zip_longest(known["argvs"], programs)]
    process: Process = _PROCESS.validate_python({"index": index, **known, "argvs": argvs})
    if process.parent is not None and not 0 <= process.parent < process.index:
        raise ValueError("a process started before its parent")
    return process


def _with_program(argv: Any, program: Any) -> Any:
    """Return a command line with the path of its program in place of the first word, if there is one.

    The path has no symbolic links, so that it ends in a name as `x86_64-linux-gnu-ld.bfd` or `gcc-14`.
    """
    if not program:
        return argv
    folder, name = posixpath.split(program)
    return (posixpath.join(folder, _VERSION.sub("", _TARGET.sub("", name))), *argv[1:])


# Made once, and not for each of some ten thousand records.
_FILE = TypeAdapter(File)
_PROCESS = TypeAdapter(Process)
_RAN = TypeAdapter(Ran)
_WORDS = TypeAdapter(tuple[str, ...])
_END = TypeAdapter(_End)
