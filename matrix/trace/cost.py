"""The account of a traced step: processes by program and by make, processes at once, processes alone. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from matrix.model.base import Frozen
from matrix.trace.spans import leaf_spans
from matrix.trace.timeline import Origin
from matrix.trace.work import COMPILER, work

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.scenario.step_facts import Process
    from matrix.trace.spans import Span
    from matrix.trace.timeline import Timeline

FORK = "(fork)"
"""The program's name in the account for a process that stayed the program that its parent was."""


class MakeAccount(Frozen):
    """One make: its goal, its time in seconds since the step began, and the number of processes that it started."""

    goal: str
    start_s: float
    wall_s: float
    recipe_processes: int
    shell_functions: int


class Serial(Frozen):
    """The wall time, in seconds, in which the leaf processes of the target `name` ran alone."""

    name: str
    wall_s: float


class Account(Frozen):
    """A step's account.

    `work_s` is the CPU time of all processes, in seconds, and `parallelism` the quotient of `work_s` and `wall_s`.
    `leaves_s` maps a number of leaf processes to the seconds in which so many ran. `parses` counts the readings of
    makefiles, `shell_functions` the uses of `$(shell)`, `shell_processes` the processes below these. `rss_bytes` is the
    peak of the largest process.
    """

    wall_s: float
    work_s: float
    parallelism: float
    processes: int
    programs: dict[str, int]
    makes: tuple[MakeAccount, ...]
    parses: int
    shell_functions: int
    shell_processes: int
    compiler_runs: int
    failed: int
    rss_bytes: int
    serial_s: float
    serial: tuple[Serial, ...]
    leaves_s: dict[int, float]


def account(timeline: Timeline) -> Account:
    """Return the account of a traced step; times are seconds, rounded to milliseconds."""
    tree = timeline.tree
    processes = tree.processes.values()
    leaves, serial = _at_once(timeline)
    shells = [job for job in timeline.jobs if job.origin == Origin.SHELL]
    return Account(
        wall_s=round(tree.wall_s, 3),
        work_s=round(tree.work_s, 3),
        parallelism=round(tree.work_s / tree.wall_s, 3) if tree.wall_s else 0.0,
        processes=len(processes),
        programs=_programs(processes),
        makes=_makes(timeline),
        parses=tree.parses,
        shell_functions=len(shells),
        shell_processes=len({one.index for job in shells for one in tree.below(job.process)}),
        compiler_runs=sum(map(_is_compiler_run, processes)),
        # A process without a status was not seen to end, so it is not known to have failed.
        failed=sum(process.status not in (0, None) for process in processes),
        rss_bytes=max((process.rss_kib for process in processes), default=0) << 10,
        serial_s=round(sum(serial.values()), 3),
        serial=_longest_first(serial),
        leaves_s={count: round(seconds, 3) for count, seconds in sorted(leaves.items())},
    )


def _programs(processes: Iterable[Process]) -> dict[str, int]:
    return dict(Counter(process.program or FORK for process in processes).most_common())


def _is_compiler_run(process: Process) -> bool:
    done = work(process)
    return done is not None and done[0] == COMPILER


def _longest_first(serial: dict[str, float]) -> tuple[Serial, ...]:
    longest = sorted(serial.items(), key=lambda item: -item[1])
    return tuple(Serial(name=name, wall_s=round(seconds, 3)) for name, seconds in longest)


def _at_once(timeline: Timeline) -> tuple[dict[int, float], dict[str, float]]:
    """Return two maps to seconds: from the number of leaves that ran, and from the name of a leaf that ran alone."""
    leaves: dict[int, float] = defaultdict(float)
    serial: dict[str, float] = defaultdict(float)
    for span in leaf_spans(timeline.tree):
        leaves[len(span.leaves)] += span.wall_s
        if len(span.leaves) <= 1:
            serial[_serial_name(timeline, span)] += span.wall_s
    return leaves, serial


def _serial_name(timeline: Timeline, span: Span) -> str:
    """Return the name of the only leaf of a span, or words for a span without one."""
    if not span.leaves:
        return "(nothing ran)"
    return timeline.name(timeline.tree.processes[span.leaves[0]])


def _makes(timeline: Timeline) -> tuple[MakeAccount, ...]:
    counts = Counter((job.make.index, job.origin) for job in timeline.jobs)
    return tuple(
        MakeAccount(
            goal=timeline.targets.goal(make),
            start_s=round(make.start - timeline.tree.began, 3),
            wall_s=round(timeline.tree.end(make) - make.start, 3),
            recipe_processes=counts[make.index, Origin.RECIPE],
            shell_functions=counts[make.index, Origin.SHELL],
        )
        for make in timeline.tree.makes
    )
