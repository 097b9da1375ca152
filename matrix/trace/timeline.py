"""A traced step as make ran it: which make started what, for which target, and what ran at the same time. Pure."""

from __future__ import annotations

import posixpath
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from matrix.trace import file_access, make_arguments
from matrix.trace.make_arguments import is_make
from matrix.trace.work import KINDS, work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matrix.scenario.observations import File, Process, StepFacts

NEAR_S = 0.01
"""How far a file's time stamp may lie outside of the process that wrote it: files' clock ticks as slowly."""

_BESIDE = re.compile(r"/\.[^/]*\.(cmd|d|tmp)$")


class Origin(StrEnum):
    """Why make started a process: for a line of a recipe, or as the function `$(shell)`."""

    RECIPE = "recipe"
    SHELL = "shell"


@dataclass(frozen=True)
class Job:
    """A process that a make started itself, and what for; `target` is empty where its words do not tell.

    `outputs` are all the files that its words name and that were written while it ran.
    """

    process: Process
    make: Process
    origin: Origin
    target: str
    kind: str
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Span:
    """A time, in seconds since the step began, in which the same leaves ran: processes that wait for no child."""

    start_s: float
    end_s: float
    leaves: tuple[int, ...]

    @property
    def wall_s(self) -> float:
        """How long it was."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Timeline:
    """The processes of a traced step, by their index, and the files that were there after it."""

    processes: Mapping[int, Process]
    files: Mapping[str, File]

    @cached_property
    def began(self) -> float:
        """When the first process started, in seconds since the epoch."""
        return min((process.start for process in self.processes.values()), default=0.0)

    @cached_property
    def ended(self) -> float:
        """When the last process that was seen to end did."""
        return max((process.end or process.start for process in self.processes.values()), default=self.began)

    @property
    def wall_s(self) -> float:
        """From the first process's start to the last one's end."""
        return self.ended - self.began

    @property
    def work_s(self) -> float:
        """The CPU time of all processes."""
        return sum(process.cpu_ns for process in self.processes.values()) / 1e9

    def end(self, process: Process) -> float:
        """Return when a process ended; one that was not seen to, with the step."""
        return self.ended if process.end is None else process.end

    @cached_property
    def children(self) -> Mapping[int, tuple[Process, ...]]:
        """Map each process to those that it started, in order."""
        found: dict[int, list[Process]] = defaultdict(list)
        for process in sorted(self.processes.values(), key=lambda process: (process.start, process.index)):
            if process.parent is not None:
                found[process.parent].append(process)
        return {parent: tuple(below) for parent, below in found.items()}

    def below(self, process: Process) -> Iterator[Process]:
        """Yield a process and all that descends from it."""
        waiting = [process]
        while waiting:
            one = waiting.pop()
            yield one
            waiting += self.children.get(one.index, ())

    @cached_property
    def makes(self) -> tuple[Process, ...]:
        """Every make, in the order of their starts."""
        return tuple(process for process in self._in_order if is_make(process))

    @cached_property
    def _in_order(self) -> tuple[Process, ...]:
        return tuple(sorted(self.processes.values(), key=lambda process: (process.start, process.index)))

    @property
    def parses(self) -> int:
        """How often a make read its makefiles: once with each exec, as one that made a makefile again starts anew."""
        return sum(
            posixpath.basename(argv[0]) in make_arguments.PROGRAMS for process in self.makes for argv in process.argvs
        )

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """Every process that a make started, in the order of their starts."""
        return tuple(
            self._job(process, self.processes[process.parent])
            for process in self._in_order
            if process.parent is not None
            and process.parent in self.processes
            and is_make(self.processes[process.parent])
        )

    def _job(self, process: Process, make: Process) -> Job:
        origin = _origin(process, make)
        kinds = {done[0] for one in self.below(process) if (done := work(one))}
        nested = "make" if any(is_make(one) for one in self.below(process)) else "other"
        kind = next((kind for kind in KINDS if kind in kinds), nested) if nested != "make" else "make"
        target, outputs = self._target(process)
        return Job(process, make, origin, target, kind, outputs)

    @cached_property
    def _by_process(self) -> Mapping[int, Job]:
        return {job.process.index: job for job in self.jobs}

    def job(self, process: Process) -> Job | None:
        """Return the innermost job that a process is part of."""
        one: Process | None = process
        while one is not None:
            if one.index in self._by_process:
                return self._by_process[one.index]
            one = self.processes.get(one.parent) if one.parent is not None else None
        return None

    def _target(self, process: Process) -> tuple[str, tuple[str, ...]]:
        """Return what a job is for: a nested make's goal, the file that it wrote, or else one that it names.

        With it come all files that it wrote: a generator may write several.
        """
        if is_make(process):
            return self.goal(process), ()
        access = file_access.access(process.first, process.cwd)
        named = [path for path in access.names if self._is_product(path)]
        written = [path for path in named if self._written(path, process)]
        marked = [path for path in access.writes if path in written]
        nested = [self.goal(child) for child in self.children.get(process.index, ()) if is_make(child)]
        likely = [*nested, *marked, *written, *reversed(named)]
        return next(iter(likely), ""), tuple(written)

    def _is_product(self, path: str) -> bool:
        return path in self.files and self.files[path].type == "file" and not _BESIDE.search(path)

    def goal(self, make: Process) -> str:
        """Return what a nested make was told to make; tools/build names it as `dir=` and `obj=`."""
        told = make_arguments.arguments(make.argv)
        if "obj" in told.variables:
            name = posixpath.normpath(f"{told.variables.get('dir', '.')}/{told.variables['obj']}-in.o")
            found = [path for path in self._by_ending.get(posixpath.basename(name), ()) if path.endswith(f"/{name}")]
            written = [path for path in found if self._written(path, make)]
            last = sorted(written or found, key=lambda path: self.files[path].mtime_ns)
            return last[-1] if last else name
        wanted = told.goals[0] if told.goals else "all"
        return posixpath.normpath(posixpath.join(make_arguments.folder(make), wanted))

    @cached_property
    def _by_ending(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for path in self.files:
            if path.endswith("-in.o"):
                found[posixpath.basename(path)].append(path)
        return found

    def _written(self, path: str, process: Process) -> bool:
        at = self.files[path].mtime_ns / 1e9
        return process.start - NEAR_S <= at <= self.end(process) + NEAR_S

    def spans(self) -> tuple[Span, ...]:
        """Return which leaves ran when, from the first process's start to the last one's end, without gaps."""
        timed = [process for process in self._in_order if self.end(process) > process.start]
        events = [(process.start, 1, process) for process in timed]
        events += [(self.end(process), -1, process) for process in timed]
        alive: Counter[int] = Counter()
        leaves: dict[int, None] = {}
        found: list[Span] = []
        running: set[int] = set()
        before = self.began
        for at, change, process in sorted(events, key=lambda event: (event[0], event[1], event[2].index)):
            if at > before:
                found.append(Span(before - self.began, at - self.began, tuple(leaves)))
                before = at
            parent = process.parent
            if change > 0:
                running.add(process.index)
                leaves[process.index] = None
            else:
                running.discard(process.index)
                leaves.pop(process.index, None)
            if parent is not None:
                alive[parent] += change
                if alive[parent]:
                    leaves.pop(parent, None)
                elif parent in running:
                    leaves[parent] = None
        return tuple(found)

    def name(self, process: Process) -> str:
        """Return what a process ran for, as a person would look for it: a target, or a make at its makefiles."""
        if is_make(process):
            return f"make: {self.goal(process)}"
        job = self.job(process)
        if job is None:
            return process.program
        if job.origin == Origin.SHELL:
            return f"$(shell) of make: {self.goal(job.make)}"
        return job.target or f"a recipe of make: {self.goal(job.make)}"


def of_step(step: StepFacts) -> Timeline:
    """Return the timeline of a step's first traced command."""
    return Timeline({process.index: process for process in step.processes}, step.files)


def _origin(process: Process, make: Process) -> Origin:
    """Return why make started a process: the standard output of `$(shell)` is a pipe that make itself reads."""
    inherited = make.stdouts[-1:] or ("",)
    own = process.stdouts[:1] or inherited
    return Origin.RECIPE if own[0] == inherited[0] else Origin.SHELL
