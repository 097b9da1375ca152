"""Which processes of a traced step ran at the same time. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrix.scenario.step_facts import Process
    from matrix.trace.process_tree import ProcessTree


@dataclass(frozen=True)
class Span:
    """A time, in seconds since the step began, in which the same leaves ran: processes that wait for no child."""

    start_s: float
    end_s: float
    leaves: tuple[int, ...]

    @property
    def wall_s(self) -> float:
        """How long the span was."""
        return self.end_s - self.start_s


@dataclass
class _Leaves:
    """The leaves at one moment: of the processes that run those without a child that runs."""

    running: set[int] = field(default_factory=set)
    children: Counter[int] = field(default_factory=Counter)
    indexes: dict[int, None] = field(default_factory=dict)

    def change(self, process: Process, change: int) -> None:
        """Follow a process that starts (1) or ends (-1)."""
        if change > 0:
            self.running.add(process.index)
            self.indexes[process.index] = None
        else:
            self.running.discard(process.index)
            self.indexes.pop(process.index, None)
        if process.parent is not None:
            self.children[process.parent] += change
            self._update(process.parent)

    def _update(self, parent: int) -> None:
        if self.children[parent]:
            self.indexes.pop(parent, None)
        elif parent in self.running:
            self.indexes[parent] = None


def leaf_spans(tree: ProcessTree) -> tuple[Span, ...]:
    """Return which leaves ran when, from the first process's start to the last one's end, without gaps."""
    leaves = _Leaves()
    found: list[Span] = []
    before = tree.began
    for at, change, process in _events(tree):
        if at > before:
            found.append(Span(before - tree.began, at - tree.began, tuple(leaves.indexes)))
            before = at
        leaves.change(process, change)
    return tuple(found)


def _events(tree: ProcessTree) -> list[tuple[float, int, Process]]:
    """Return the starts (1) and ends (-1) of all processes that took any time; of those at once the ends come first."""
    timed = [process for process in tree.in_order if tree.end(process) > process.start]
    starts = [(process.start, 1, process) for process in timed]
    ends = [(tree.end(process), -1, process) for process in timed]
    return sorted([*starts, *ends], key=lambda event: (event[0], event[1], event[2].index))
