"""The view for https://ui.perfetto.dev and chrome://tracing: JSON in Chrome's Trace Event Format.

The format is described in "Trace Event Format" (D. Sinclair, N. Duca; Google document
1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU, linked from docs/trace-event-format.md of catapult). Used of it: `X`, a
complete event, from `ts` for `dur`, both in microseconds; `C`, a counter; `M`, the metadata that name and order the
"processes" (`pid`) and "threads" (`tid`), which are groups and rows here. Events of one thread must nest: Perfetto
drops events that overlap. Of two events that start at once the first in the file is the outer one. Times are whole
microseconds, as Perfetto reads 1e+15 inexactly. `cname` is one of the names that catapult reserves
(tracing/tracing/base/color_scheme.html); chrome://tracing colours by it, Perfetto ignores it and colours by `name`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from matrix.trace import lanes
from matrix.trace.command_lines import text as command
from matrix.trace.cost import FORK
from matrix.trace.lanes import Bar
from matrix.trace.spans import leaf_spans
from matrix.trace.views import View
from matrix.untrusted import perfetto_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.scenario.step_facts import Process
    from matrix.trace.cost import Account
    from matrix.trace.simulation import PathItem
    from matrix.trace.timeline import Timeline

COLOURS = {
    "compiler": "rail_response",
    "linker": "rail_animation",
    "generator": "rail_load",
    "install": "rail_idle",
    "other": "cq_build_abandoned",
    "make": "thread_state_uninterruptible",
}
# The two groups of rows, which the format calls processes; sort indexes and numbers are the same.
JOBS_PID = 1
MAKES_PID = 2
FIRST_TID = 10
"""The number of the first row: above both groups' numbers, as a thread with its process's number is its main thread."""

Event = dict[str, Any]


def render(cell: str, step: str, timeline: Timeline, account: Account, critical: Sequence[PathItem] = ()) -> str:
    """Return the step's jobs, makes and running leaves as a JSON object of trace events, one event on each line."""
    title = perfetto_value(f"{cell}: {step}")
    bars = lanes.jobs(timeline)
    job_rows = lanes.row_count(bars)
    named = _group(JOBS_PID, f"jobs of {title}", [f"slot {row + 1}" for row in range(job_rows)], FIRST_TID)
    labels, lifetimes = _makes(timeline, account, FIRST_TID + job_rows)
    named += _group(MAKES_PID, f"makes of {title}", labels, FIRST_TID + job_rows)
    drawn = [*lifetimes, *_jobs(timeline, bars, frozenset(item.process for item in critical))]
    # The sort is stable: a parent that starts together with its child stays before it, so that the child nests in it.
    events = [*named, *sorted(drawn, key=lambda event: int(event["ts"])), *_counter(timeline)]
    lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in events)
    more = json.dumps({"cell": perfetto_value(cell), "step": perfetto_value(step)})
    return f'{{"displayTimeUnit":"ms","otherData":{more},"traceEvents":[\n{lines}\n]}}\n'


def _group(pid: int, name: str, labels: Sequence[str], first_tid: int) -> list[Event]:
    """Return the metadata events of a group of rows: its name, and the labels of its rows in their order."""
    found: list[Event] = [
        {"ph": "M", "pid": pid, "tid": first_tid, "name": "process_name", "args": {"name": name}},
        {"ph": "M", "pid": pid, "tid": first_tid, "name": "process_sort_index", "args": {"sort_index": pid}},
    ]
    for tid, label in enumerate(labels, first_tid):
        found += [
            {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": label}},
            {"ph": "M", "pid": pid, "tid": tid, "name": "thread_sort_index", "args": {"sort_index": tid}},
        ]
    return found


def _makes(timeline: Timeline, account: Account, first_tid: int) -> tuple[list[str], list[Event]]:
    """Return the labels of the rows of makes and the events on them.

    Each depth of nesting has one row, and more where makes of that depth ran at the same time.
    """
    # The account has the makes in the tree's order.
    counts = {make.index: counted for make, counted in zip(timeline.tree.makes, account.makes, strict=True)}
    labels: list[str] = []
    events: list[Event] = []
    for depth, bars in enumerate(lanes.makes(timeline)):
        first = first_tid + len(labels)
        for bar in bars:
            counted = counts[bar.process.index]
            args = {
                **_facts(bar.process),
                "recipe processes": counted.recipe_processes,
                "$(shell) functions": counted.shell_functions,
            }
            events.append(_complete(bar, (MAKES_PID, first + bar.row), bar.kind, args))
        wide = lanes.row_count(bars)
        labels += [f"depth {depth}", *(f"depth {depth}, row {row}" for row in range(2, wide + 1))][:wide]
    return labels, events


def _jobs(timeline: Timeline, bars: Sequence[Bar], critical: frozenset[int]) -> Iterator[Event]:
    """Yield the event of each leaf job and, nested in it, those of the processes below it that fit on its row."""
    for bar, job in zip(bars, timeline.leaf_jobs, strict=True):
        place = JOBS_PID, FIRST_TID + bar.row
        within = list(_within(timeline, bar.process))
        args = {
            **_facts(bar.process),
            "target": perfetto_value(job.target),
            "origin": str(job.origin),
            "make": perfetto_value(lanes.short(timeline.targets.goal(job.make))),
            "cpu_s": round(timeline.tree.cpu_s(bar.process), 3),
            "processes": sum(1 for _ in timeline.tree.below(bar.process)),
            "processes_drawn": 1 + len(within),
        }
        if bar.process.index in critical:
            args["critical"] = True
        yield _complete(bar, place, bar.kind, args)
        for one in within:
            nested = Bar(one, one.program or FORK, bar.kind, bar.row, *lanes.span(timeline, one))
            yield _complete(nested, place, "process", {**_facts(one), "cpu_s": round(one.cpu_ns / 1e9, 3)})


def _within(timeline: Timeline, process: Process) -> Iterator[Process]:
    """Yield the processes below a job's process that nest on its row, parents first.

    Each lies inside of its parent's time, and children of one parent do not overlap, as events of one row must nest.
    """
    waiting = _nesting(timeline, process)
    while waiting:
        nested = waiting.pop()
        yield nested
        waiting += _nesting(timeline, nested)


def _nesting(timeline: Timeline, parent: Process) -> list[Process]:
    """Return the children of a process that fit on its row, the last one first, as they are taken from the end."""
    children = timeline.tree.children.get(parent.index, ())
    inside = [child for child in children if _is_inside(lanes.span(timeline, child), lanes.span(timeline, parent))]
    beside = lanes.apart([lanes.span(timeline, child) for child in inside])
    return [inside[index] for index in reversed(beside)]


def _is_inside(inner: tuple[float, float], outer: tuple[float, float]) -> bool:
    """Return whether a span of time, from its start to its end, lies within another."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _complete(bar: Bar, place: tuple[int, int], category: str, args: Event) -> Event:
    # Both ends are rounded, and not the duration: else an event could end a microsecond after the one that it nests in.
    start, end = round(1e6 * bar.start_s), round(1e6 * bar.end_s)
    event: Event = {"ph": "X", "pid": place[0], "tid": place[1], "ts": start, "dur": end - start}
    return {**event, "name": perfetto_value(bar.name), "cat": category, "cname": COLOURS[bar.kind], "args": args}


def _facts(process: Process) -> Event:
    return {"command": perfetto_value(command(process) or FORK), "exit status": process.status}


def _counter(timeline: Timeline) -> Iterator[Event]:
    """Yield a counter event with the number of running leaves whenever it changes, and one with 0 at the end."""
    spans = leaf_spans(timeline.tree)
    points = [(span.start_s, len(span.leaves)) for span in spans]
    if points:
        points.append((spans[-1].end_s, 0))
    before = -1
    for at, count in points:
        if count != before:
            place = {"ph": "C", "pid": JOBS_PID, "ts": round(1e6 * at)}
            yield {**place, "name": "leaves running", "args": {"leaves": count}}
            before = count


VIEW = View(suffix=".json", render=render)
