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
    """The processes of a traced step, by their index in the agent's records."""

    processes: Mapping[int, Process]

    @cached_property
    def began(self) -> float:
        """The start of the first process, in seconds since the epoch."""
        return min((process.start for process in self.processes.values()), default=0.0)

    @cached_property
    def ended(self) -> float:
        """The end of the last process that was seen to end, in seconds since the epoch."""
        # A process without an end was killed with its container; its start is the last that is known of it.
        return max((process.end or process.start for process in self.processes.values()), default=self.began)

    @property
    def wall_s(self) -> float:
        """The seconds from the first process's start to the last one's end."""
        return self.ended - self.began

    @property
    def work_s(self) -> float:
        """The CPU time of all processes, in seconds."""
        return sum(process.cpu_ns for process in self.processes.values()) / 1e9

    def end(self, process: Process) -> float:
        """Return the end of a process, in seconds since the epoch; the step's where the process was not seen to end."""
        return self.ended if process.end is None else process.end

    @cached_property
    def in_order(self) -> tuple[Process, ...]:
        """Every process, in the order of their starts."""
        return tuple(sorted(self.processes.values(), key=lambda process: (process.start, process.index)))

    @cached_property
    def children(self) -> Mapping[int, tuple[Process, ...]]:
        """Map the index of each process to the processes that it started, in the order of their starts."""
        found: dict[int, tuple[Process, ...]] = defaultdict(tuple)
        for process in self.in_order:
            if process.parent is not None:
                found[process.parent] += (process,)
        return dict(found)

    def parent(self, process: Process) -> Process | None:
        """Return the process that started this one, or None for the first process and for an unknown parent."""
        return None if process.parent is None else self.processes.get(process.parent)

    def below(self, process: Process) -> Iterator[Process]:
        """Yield a process and all its descendants."""
        waiting = [process]  # a list of our own, as recursion would end at Python's limit on a hostile tree
        while waiting:
            one = waiting.pop()
            yield one
            waiting += self.children.get(one.index, ())

    def cpu_s(self, process: Process) -> float:
        """Return the CPU time of a process and all its descendants, in seconds."""
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
        """The number of times that a make read its makefiles, which is once for each exec of a make.

        A make that has remade a makefile executes itself again:
        https://www.gnu.org/software/make/manual/html_node/Remaking-Makefiles.html
        """
        programs = (posixpath.basename(argv[0]) for make in self.makes for argv in make.argvs)
        return sum(program in make_arguments.PROGRAMS for program in programs)
