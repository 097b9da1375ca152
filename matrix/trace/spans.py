"""The spans of a traced step: in each, the same leaf processes run at the same time. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrix.scenario.step_facts import Process
    from matrix.trace.process_tree import ProcessTree


@dataclass(frozen=True)
class Span:
    """A span of time in which the same leaves ran: processes that have no running child to wait for.

    `start_s` and `end_s` are seconds since the step began, `leaves` the indexes of the processes.
    """

    start_s: float
    end_s: float
    leaves: tuple[int, ...]

    @property
    def wall_s(self) -> float:
        """The length of the span, in seconds."""
        return self.end_s - self.start_s


@dataclass
class _Leaves:
    """The leaves at one moment: the running processes without a running child.

    `running` are the indexes of all running processes, `children` counts the running children of each, and the keys of
    `indexes` are the leaves.
    """

    running: set[int] = field(default_factory=set)
    children: Counter[int] = field(default_factory=Counter)
    indexes: dict[int, None] = field(default_factory=dict)  # a dict, so that leaves come in the order of their starts

    def change(self, process: Process, change: int) -> None:
        """Add a process that starts (`change` 1) or remove one that ends (-1)."""
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
    """Return the spans of a step, without gaps, from the first process's start to the last one's end."""
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
    """Return the starts (1) and ends (-1) of all processes with a duration, by time; at one time ends come first.

    An event is its time, in seconds since the epoch, its sign and its process.
    """
    timed = [process for process in tree.in_order if tree.end(process) > process.start]
    starts = [(process.start, 1, process) for process in timed]
    ends = [(tree.end(process), -1, process) for process in timed]
    return sorted([*starts, *ends], key=lambda event: (event[0], event[1], event[2].index))
