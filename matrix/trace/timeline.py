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
"""The kinds of jobs besides the kinds of work: a job with a nested make, and a job that did no work."""


class Origin(StrEnum):
    """The reason why make started a process: a line of a recipe, or the function `$(shell)`."""

    RECIPE = "recipe"
    SHELL = "shell"


@dataclass(frozen=True)
class Job:
    """A process that `make` started itself.

    `target` is a path or a goal, empty where its words name none; `kind` is one of KINDS, MAKE or OTHER; `outputs` are
    all files that its words name and that were written while it ran.
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
        """The jobs of all makes, in the order of their starts."""
        pairs = ((process, self.tree.parent(process)) for process in self.tree.in_order)
        return tuple(self._job(process, parent) for process, parent in pairs if parent is not None and is_make(parent))

    @property
    def leaf_jobs(self) -> tuple[Job, ...]:
        """The jobs without a nested make, in the order of their starts."""
        return tuple(job for job in self.jobs if job.kind != MAKE)

    def _job(self, process: Process, make: Process) -> Job:
        target, outputs = self.targets.of(process)
        return Job(process, make, _origin(process, make), target, self._kind(process), outputs)

    def _kind(self, process: Process) -> str:
        """Return the kind of a job: MAKE where a make runs in it, or else the first of KINDS that was done in it."""
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
        # From the process up to the first that a make started, as jobs are kept by that process alone.
        one: Process | None = process
        while one is not None and one.index not in self._by_process:
            one = self.tree.parent(one)
        return None if one is None else self._by_process[one.index]

    def name(self, process: Process) -> str:
        """Return the name of a process for people: the target of its job, or the goal of a make."""
        if is_make(process):
            return f"make: {self.targets.goal(process)}"
        job = self.job(process)
        return process.program if job is None else self._job_name(job)

    def _job_name(self, job: Job) -> str:
        if job.origin == Origin.SHELL:
            return f"$(shell) of make: {self.targets.goal(job.make)}"
        return job.target or f"a recipe of make: {self.targets.goal(job.make)}"


def of_step(step: StepFacts) -> Timeline:
    """Return the timeline of the processes of a step, which are those of its first traced command."""
    tree = ProcessTree({process.index: process for process in step.processes})
    return Timeline(tree, Targets(tree, step.files))


def _origin(process: Process, make: Process) -> Origin:
    """Return the reason why make started a process, by its standard output.

    The standard output of `$(shell)` is a pipe that make itself reads; a recipe's is the one that make has.
    """
    # A process without an exec of its own (a fork) has no record of its output, so it counts as a recipe's.
    inherited = make.stdouts[-1:] or ("",)
    own = process.stdouts[:1] or inherited
    return Origin.RECIPE if own[0] == inherited[0] else Origin.SHELL
