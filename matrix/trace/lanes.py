"""How a traced step is laid out to be drawn: its jobs on as few rows as ran at once, its makes by depth. Pure."""

from __future__ import annotations

import heapq
import re
from bisect import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.scenario import perf
from matrix.scenario.step_facts import ROOTS
from matrix.trace.make_arguments import is_make
from matrix.trace.timeline import Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.scenario.step_facts import Process
    from matrix.trace.timeline import Job, Timeline

NAME_CHARS = 80
_FOLDERS = re.compile("(?:^|(?<= ))(?:{})/".format("|".join([perf.FOLDER, *map(re.escape, ROOTS.values())])))


@dataclass(frozen=True)
class Bar:
    """A process as it is drawn: on a row, counted from 0, between two times in seconds since the step began."""

    process: Process
    name: str
    kind: str
    row: int
    start_s: float
    end_s: float

    @property
    def wall_s(self) -> float:
        """How long the process was there."""
        return self.end_s - self.start_s


def rows(spans: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return each span's row: the lowest that is free when it starts. The spans are in the order of their starts."""
    found: list[int] = []
    free: list[int] = []
    taken: list[tuple[float, int]] = []
    for start, end in spans:
        while taken and taken[0][0] <= start:
            heapq.heappush(free, heapq.heappop(taken)[1])
        row = heapq.heappop(free) if free else len(taken)
        heapq.heappush(taken, (end, row))
        found.append(row)
    return tuple(found)


def apart(spans: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return which spans can share a row, in the order of time: of those that overlap, the longest."""
    kept: list[tuple[float, float, int]] = []
    longest_first = sorted((start - end, index) for index, (start, end) in enumerate(spans))
    for _, index in longest_first:
        placed = (*spans[index], index)
        position = bisect(kept, placed)
        if _is_free(kept, position, placed):
            kept.insert(position, placed)
    return tuple(index for _, _, index in kept)


def _is_free(kept: Sequence[tuple[float, float, int]], position: int, wanted: tuple[float, float, int]) -> bool:
    """Return whether a span overlaps neither the one before its position nor the one after it."""
    start, end, _ = wanted
    after_previous = position == 0 or kept[position - 1][1] <= start
    before_next = position == len(kept) or end <= kept[position][0]
    return after_previous and before_next


def span(timeline: Timeline, process: Process) -> tuple[float, float]:
    """Return when a process was there, in seconds since the step began; never a negative time."""
    start = process.start - timeline.tree.began
    return start, max(start, timeline.tree.end(process) - timeline.tree.began)


def jobs(timeline: Timeline) -> tuple[Bar, ...]:
    """Return the leaf jobs, those that no make runs below, in the order of their starts."""
    leaves = [job for job in timeline.jobs if job.kind != "make"]
    spans = [span(timeline, job.process) for job in leaves]
    return tuple(
        Bar(job.process, _name(timeline, job), job.kind, row, *times)
        for job, times, row in zip(leaves, spans, rows(spans), strict=True)
    )


def _name(timeline: Timeline, job: Job) -> str:
    """Return what tells a job from the others: what it is for, or the command of a `$(shell)`, which is for nothing."""
    if job.origin == Origin.RECIPE:
        return short(timeline.name(job.process))
    words = job.process.first
    text = " ".join(words[2:] if words[1:2] == ("-c",) else words)
    return f"$(shell {text})" if len(text) <= NAME_CHARS else f"$(shell {text[: NAME_CHARS - 1]}…)"


def makes(timeline: Timeline) -> tuple[tuple[Bar, ...], ...]:
    """Return the makes by how many makes they have above them; the rows of each depth are counted from 0."""
    depths: list[list[Process]] = []
    for make in timeline.tree.makes:
        depth = _depth(timeline, make)
        depths += [[] for _ in range(len(depths), depth + 1)]
        depths[depth].append(make)
    return tuple(tuple(_lifetimes(timeline, makes)) for makes in depths)


def _lifetimes(timeline: Timeline, makes: Sequence[Process]) -> list[Bar]:
    spans = [span(timeline, make) for make in makes]
    return [
        Bar(make, short(timeline.targets.goal(make)), "make", row, *times)
        for make, times, row in zip(makes, spans, rows(spans), strict=True)
    ]


def _depth(timeline: Timeline, make: Process) -> int:
    depth, above = 0, make.parent
    while above is not None and above in timeline.tree.processes:
        depth += is_make(timeline.tree.processes[above])
        above = timeline.tree.processes[above].parent
    return depth


def short(name: str) -> str:
    """Return the name of what a process ran for without the folders that every path in a cell begins with."""
    return _FOLDERS.sub("", name)
