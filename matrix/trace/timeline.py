"""A traced step as make ran it: the jobs that its makes started, with the target and the kind of work of each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from matrix.trace.make_arguments import is_make
from matrix.trace.process_tree import ProcessTree
from matrix.trace.targets import Targets
from matrix.trace.work import KINDS, work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.scenario.step_facts import Process, StepFacts

MAKE, OTHER = "make", "other"
"""The kinds of jobs beside those of work: a nested make, and one that did no work."""


class Origin(StrEnum):
    """Why make started a process: for a line of a recipe, or as the function `$(shell)`."""

    RECIPE = "recipe"
    SHELL = "shell"


@dataclass(frozen=True)
class Job:
    """A process that a make started itself, and its target, which is empty where its words do not tell.

    `outputs` are all the files that its words name and that were written while it ran.
    """

    process: Process
    make: Process
    origin: Origin
    target: str
    kind: str
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timeline:
    """The processes of a traced step, their targets and their jobs."""

    tree: ProcessTree
    targets: Targets

    @cached_property
    def jobs(self) -> tuple[Job, ...]:
        """Every process that a make started, in the order of their starts."""
        pairs = ((process, self.tree.parent(process)) for process in self.tree.in_order)
        return tuple(self._job(process, parent) for process, parent in pairs if parent is not None and is_make(parent))

    @property
    def leaf_jobs(self) -> tuple[Job, ...]:
        """The jobs that no make runs below, in the order of their starts."""
        return tuple(job for job in self.jobs if job.kind != MAKE)

    def _job(self, process: Process, make: Process) -> Job:
        target, outputs = self.targets.of(process)
        return Job(process, make, _origin(process, make), target, self._kind(process), outputs)

    def _kind(self, process: Process) -> str:
        """Return the kind of a job: `make` where a make runs in it, or else the first kind of work that was done."""
        below = list(self.tree.below(process))
        if any(map(is_make, below)):
            return MAKE
        kinds = {done[0] for done in filter(None, map(work, below))}
        return min(kinds, key=KINDS.index, default=OTHER)

    @cached_property
    def _by_process(self) -> Mapping[int, Job]:
        return {job.process.index: job for job in self.jobs}

    def job(self, process: Process) -> Job | None:
        """Return the innermost job that a process is part of."""
        one: Process | None = process
        while one is not None and one.index not in self._by_process:
            one = self.tree.parent(one)
        return None if one is None else self._by_process[one.index]

    def name(self, process: Process) -> str:
        """Return the name of a process for people: its target, or of a make that reads makefiles, its goal."""
        if is_make(process):
            return f"make: {self.targets.goal(process)}"
        job = self.job(process)
        return process.program if job is None else self._job_name(job)

    def _job_name(self, job: Job) -> str:
        if job.origin == Origin.SHELL:
            return f"$(shell) of make: {self.targets.goal(job.make)}"
        return job.target or f"a recipe of make: {self.targets.goal(job.make)}"


def of_step(step: StepFacts) -> Timeline:
    """Return the timeline of a step's first traced command."""
    tree = ProcessTree({process.index: process for process in step.processes})
    return Timeline(tree, Targets(tree, step.files))


def _origin(process: Process, make: Process) -> Origin:
    """Return why make started a process: the standard output of `$(shell)` is a pipe that make itself reads."""
    inherited = make.stdouts[-1:] or ("",)
    own = process.stdouts[:1] or inherited
    return Origin.RECIPE if own[0] == inherited[0] else Origin.SHELL
