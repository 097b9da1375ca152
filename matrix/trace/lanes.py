"""The bars by which views draw a traced step: its jobs on as few rows as possible, its makes by depth. Pure."""

from __future__ import annotations

import heapq
import re
from bisect import bisect
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.scenario import perf
from matrix.scenario.step_facts import ROOTS
from matrix.trace.make_arguments import is_make
from matrix.trace.timeline import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matrix.scenario.step_facts import Process
    from matrix.trace.timeline import Job, Timeline

# The command of a `$(shell)` can be a script of many lines; a view shows the whole one elsewhere.
NAME_CHARS = 80
# At the beginning of a name, and of a word in it ("make: /src/…").
_FOLDERS = re.compile("(?:^|(?<= ))(?:{})/".format("|".join([perf.FOLDER, *map(re.escape, ROOTS.values())])))

_Numbered = tuple[float, float, int]
"""The start and end of a span, and its position among the spans."""


@dataclass(frozen=True)
class Bar:
    """A process as views draw it: on the row `row`, counted from 0; times are seconds since the step began."""

    process: Process
    name: str
    kind: str
    row: int
    start_s: float
    end_s: float

    @property
    def wall_s(self) -> float:
        """The length of the bar, in seconds."""
        return self.end_s - self.start_s


def row_count(bars: Iterable[Bar]) -> int:
    """Return the number of rows from row 0 to the last one that a bar is on."""
    return 1 + max((bar.row for bar in bars), default=-1)


def rows(spans: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return each span's row, the lowest one that is free when the span starts.

    `spans` are pairs of start and end, in the order of their starts. The rows are as few as can be: greedy colouring
    of an interval graph in the order of starts is optimal.
    """
    found: list[int] = []
    # Two heaps: the free rows by number, the taken ones by the time at which they become free.
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
    """Return the positions of spans that share one row, in the order of time; of overlapping spans the longest stays.

    `spans` are pairs of start and end, in any order.
    """
    kept: list[_Numbered] = []
    for wanted in _longest_first(spans):
        _keep_if_free(kept, wanted)
    return tuple(index for _, _, index in kept)


def _longest_first(spans: Sequence[tuple[float, float]]) -> list[_Numbered]:
    """Return spans with their positions, the longest first; equally long ones keep their order."""
    numbered = ((start, end, index) for index, (start, end) in enumerate(spans))
    return sorted(numbered, key=lambda span: (span[0] - span[1], span[2]))


def _keep_if_free(kept: list[_Numbered], wanted: _Numbered) -> None:
    # The kept spans do not overlap, so only the two neighbours of a new one can touch it.
    position = bisect(kept, wanted)
    if _is_free(kept, position, wanted):
        kept.insert(position, wanted)


def _is_free(kept: Sequence[_Numbered], position: int, wanted: _Numbered) -> bool:
    """Return whether a span overlaps neither the kept one before its position nor the kept one after it."""
    start, end, _ = wanted
    after_previous = position == 0 or kept[position - 1][1] <= start
    before_next = position == len(kept) or end <= kept[position][0]
    return after_previous and before_next


def span(timeline: Timeline, process: Process) -> tuple[float, float]:
    """Return the start and end of a process, in seconds since the step began; the end is never before the start."""
    start = process.start - timeline.tree.began
    # The times are of the wall clock, which may be set back while a step runs.
    return start, max(start, timeline.tree.end(process) - timeline.tree.began)


def jobs(timeline: Timeline) -> tuple[Bar, ...]:
    """Return the bars of the leaf jobs, those that no make runs below, in the order of their starts."""
    leaves = timeline.leaf_jobs
    places = _places(timeline, [job.process for job in leaves])
    return tuple(
        Bar(job.process, _name(timeline, job), job.kind, *place) for job, place in zip(leaves, places, strict=True)
    )


def _places(timeline: Timeline, processes: Iterable[Process]) -> Iterator[tuple[int, float, float]]:
    """Yield the row, start and end of each process's bar; the processes are in the order of their starts."""
    spans = [span(timeline, process) for process in processes]
    yield from ((row, *times) for row, times in zip(rows(spans), spans, strict=True))


def _name(timeline: Timeline, job: Job) -> str:
    """Return the name of a job's bar: its target, or the command of a `$(shell)`, which has none."""
    if job.origin == Origin.RECIPE:
        return short(timeline.name(job.process))
    return f"$(shell {_shortened(_command(job.process.first))})"


def _command(words: tuple[str, ...]) -> str:
    """Return the command of a `$(shell)`, without the `sh -c` by which make runs it."""
    has_shell = words[1:2] == ("-c",)
    return " ".join(words[2:] if has_shell else words)


def _shortened(text: str) -> str:
    return text if len(text) <= NAME_CHARS else f"{text[: NAME_CHARS - 1]}…"


def makes(timeline: Timeline) -> tuple[tuple[Bar, ...], ...]:
    """Return the bars of the makes, a tuple for each depth of nesting; rows are counted from 0 in each tuple."""
    at_depth: dict[int, list[Process]] = defaultdict(list)
    for make in timeline.tree.makes:
        at_depth[_depth(timeline, make)].append(make)
    return tuple(_lifetimes(timeline, at_depth[depth]) for depth in sorted(at_depth))


def _lifetimes(timeline: Timeline, makes: Sequence[Process]) -> tuple[Bar, ...]:
    """Return the bars of makes, from the start to the end of each."""
    places = _places(timeline, makes)
    goals = (short(timeline.targets.goal(make)) for make in makes)
    return tuple(Bar(make, goal, "make", *place) for make, goal, place in zip(makes, goals, places, strict=True))


def _depth(timeline: Timeline, make: Process) -> int:
    """Return the number of makes above a make."""
    depth, above = 0, make.parent
    while above is not None and above in timeline.tree.processes:
        depth += is_make(timeline.tree.processes[above])
        above = timeline.tree.processes[above].parent
    return depth


def short(name: str) -> str:
    """Return a target's name without the folders that every path in a cell begins with."""
    return _FOLDERS.sub("", name)
