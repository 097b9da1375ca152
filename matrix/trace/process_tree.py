"""The processes of a traced step: which started which, when each ran, which are makes. Pure."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from matrix.trace import make_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matrix.scenario.step_facts import Process


@dataclass(frozen=True)
class ProcessTree:
    """The processes of a traced step, by their index."""

    processes: Mapping[int, Process]

    @cached_property
    def began(self) -> float:
        """When the first process started, in seconds since the epoch."""
        return min((process.start for process in self.processes.values()), default=0.0)

    @cached_property
    def ended(self) -> float:
        """When the last process that was seen to end did, in seconds since the epoch."""
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
    def in_order(self) -> tuple[Process, ...]:
        """Every process, in the order of their starts."""
        return tuple(sorted(self.processes.values(), key=lambda process: (process.start, process.index)))

    @cached_property
    def children(self) -> Mapping[int, tuple[Process, ...]]:
        """Map each process to those that it started, in order."""
        found: dict[int, tuple[Process, ...]] = defaultdict(tuple)
        for process in self.in_order:
            if process.parent is not None:
                found[process.parent] += (process,)
        return dict(found)

    def parent(self, process: Process) -> Process | None:
        """Return the process that started another, where it was traced too."""
        return None if process.parent is None else self.processes.get(process.parent)

    def below(self, process: Process) -> Iterator[Process]:
        """Yield a process and all that descends from it."""
        waiting = [process]
        while waiting:
            one = waiting.pop()
            yield one
            waiting += self.children.get(one.index, ())

    def cpu_s(self, process: Process) -> float:
        """Return the CPU time of a process and all below it."""
        return sum(one.cpu_ns for one in self.below(process)) / 1e9

    @cached_property
    def makes(self) -> tuple[Process, ...]:
        """Every make, in the order of their starts."""
        return tuple(filter(make_arguments.is_make, self.in_order))

    def makes_below(self, process: Process) -> list[Process]:
        """Return the makes that a process started itself."""
        return [child for child in self.children.get(process.index, ()) if make_arguments.is_make(child)]

    @property
    def parses(self) -> int:
        """How often a make read its makefiles: once with each exec, as one that made a makefile again starts anew."""
        programs = (posixpath.basename(argv[0]) for make in self.makes for argv in make.argvs)
        return sum(program in make_arguments.PROGRAMS for program in programs)
