"""The replay of a recorded build on simulated cores, under the rules of GNU make's job server. Pure.

The rules are those of https://www.gnu.org/software/make/manual/html_node/Job-Slots.html: all makes of a build share
the slots of `-j`, and each make has one of them for itself, that of the job as which it was started.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matrix.model.base import Frozen
from matrix.trace.jobgraph import Make, Task, work_s
from matrix.trace.lanes import short

if TYPE_CHECKING:
    from collections.abc import Iterator

UNLIMITED = 1 << 20
"""A number of cores and jobs that no build can fill; the wall time on them is the build's span."""

NOTHING_S = 1e-9
"""A duration, in seconds, that counts as 0: repeated subtraction leaves rounding errors of this size at most."""
BUSY = 0.85
"""The use of the cores from which on they, and not the critical path, limit a build. A judgement, not a measurement."""


class PathItem(Frozen):
    """A piece of work on the critical path.

    `process` is the index of its process, `wall_s` its simulated duration, `waited_for` the reason for its start.
    """

    name: str
    process: int
    wall_s: float
    waited_for: str


class Prediction(Frozen):
    """The predicted wall time of a build with -j`jobs`; `use` (0 to 1) is `work_s` over the time of all cores.

    `path` is the critical path from the build's beginning to its end.
    """

    jobs: int
    wall_s: float
    work_s: float
    use: float
    path: tuple[PathItem, ...]


@dataclass
class _Running:
    """A piece of work on the simulated machine: the reading of a make's makefiles, or a part of a task.

    `left_s` are the CPU seconds that it still needs, on at most `width` cores at once. `because` is the piece of work
    that it waited for, `why` the same in words. Either `task` or `make` is set.
    """

    left_s: float
    width: int
    began_s: float
    name: str
    process: int
    because: _Running | None
    why: str
    ended_s: float = 0.0
    task: _TaskState | None = None
    make: _MakeState | None = None

    @property
    def is_over(self) -> bool:
        """Whether no CPU time is left, rounding errors aside."""
        return self.left_s <= NOTHING_S / 2


@dataclass
class _TaskState:
    """A task that was started; `number` is its position in its make, `pool_done` whether its pool was started."""

    task: Task
    make: _MakeState
    number: int
    pool_done: bool = False


@dataclass
class _MakeState:
    """A make that was started by the task `owner`, or as the first one.

    `left` counts the tasks that have not ended, `running` those that run. `unmet` has the number of unmet needs of each
    task, `ready` is a heap of the tasks without any, `freed` maps a task to the piece of work that met its last need,
    and `dependents` maps a task to those that need it. Tasks are positions in the make.
    """

    make: Make
    owner: _TaskState | None
    parsed: _Running | None = None
    running: int = 0
    left: int = 0
    unmet: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    freed: dict[int, _Running] = field(default_factory=dict)
    dependents: dict[int, list[int]] = field(default_factory=dict)

    def start(self, parsed: _Running) -> None:
        """Make the tasks without needs ready, now that the makefiles have been read."""
        self.parsed = parsed
        self.ready = [number for number, unmet in enumerate(self.unmet) if not unmet]
        heapq.heapify(self.ready)  # of ready tasks the one that was started first when it was recorded goes first

    def release(self, finished: int, item: _Running) -> None:
        """Make the tasks ready whose last unmet need was the task `finished`."""
        for number in self.dependents.get(finished, ()):
            self.unmet[number] -= 1
            if not self.unmet[number]:
                self.freed[number] = item
                heapq.heappush(self.ready, number)

    def cause(self, number: int) -> tuple[_Running | None, str]:
        """Return the piece of work that made a task ready, its last need or the reading of makefiles, and in words."""
        if number in self.freed:
            return self.freed[number], "what it needs"
        return self.parsed, "its make's makefiles"


class _Machine:
    """A machine with `cores` cores on which a make with `jobs` jobs runs; a process pool uses at most `pool` cores."""

    def __init__(self, root: Make, jobs: int, cores: int, pool: int) -> None:
        # The first make has a slot of its own, so the job server has one slot less than -j.
        self.tokens = jobs - 1
        self.cores = cores
        self.pool = pool
        self.now = 0.0
        self.running: list[_Running] = []
        self.makes: list[_MakeState] = []
        self.last: _Running | None = None
        self.freed_token: _Running | None = None
        self._begin(root, None, None, "")

    def _begin(self, make: Make, owner: _TaskState | None, because: _Running | None, why: str) -> None:
        """Start a make with the reading of its makefiles."""
        state = _MakeState(make, owner, left=len(make.tasks))
        state.unmet = [len(task.needs) for task in make.tasks]
        for number, task in enumerate(make.tasks):
            for need in task.needs:
                state.dependents.setdefault(need, []).append(number)
        name = f"make: {make.name}"
        item = _Running(max(make.parse_s, NOTHING_S), 1, self.now, name, make.process, because, why, make=state)
        self.running.append(item)

    def run(self) -> tuple[float, _Running | None]:
        """Return the time at which the last piece of work ended, in seconds, and that piece."""
        while self.running:
            for item in self._advance():
                item.ended_s = self.now
                self.last = item
                self._ended(item)
            self._dispatch()
        return self.now, self.last

    def _advance(self) -> list[_Running]:
        """Run all pieces of work until the first of them ends; return those that have ended by then."""
        rate = self._rate()
        # Nothing starts or ends before the first piece of work ends, so the rate holds until then.
        step_s = min(item.left_s / (rate * item.width) for item in self.running)
        self.now += step_s
        for item in self.running:
            item.left_s -= step_s * rate * item.width
        return self._take_ended()

    def _rate(self) -> float:
        """Return the part of a core (0 to 1) that a piece of work gets for each unit of its width."""
        wanted = sum(item.width for item in self.running)
        return min(1.0, self.cores / wanted)

    def _take_ended(self) -> list[_Running]:
        ended = [item for item in self.running if item.is_over]
        self.running = [item for item in self.running if not item.is_over]
        return ended

    def _ended(self, item: _Running) -> None:
        if item.make is not None:
            self._parsed(item, item.make)
        else:
            self._worked(item)

    def _worked(self, item: _Running) -> None:
        assert item.task is not None
        task = item.task.task
        if task.pool_s and not item.task.pool_done:
            item.task.pool_done = True
            self._start(item.task, task.pool_s, min(self.pool, self.cores), item, "its own beginning")
        elif task.nested is not None:
            self._begin(task.nested, item.task, item, "the recipe that runs it")
        else:
            self._done(item.task, item)

    def _parsed(self, item: _Running, state: _MakeState) -> None:
        state.start(item)
        if state.left:
            self.makes.append(state)
        else:
            self._make_done(state, item)

    def _done(self, task: _TaskState, item: _Running) -> None:
        """End a task: free its slot, make others ready, and end its make with the last one."""
        state = task.make
        state.left -= 1
        self.tokens += state.running > 1  # the make's last job frees only the slot of the make's own
        state.running -= 1
        self.freed_token = item
        state.release(task.number, item)
        if not state.left:
            self.makes.remove(state)
            self._make_done(state, item)

    def _make_done(self, state: _MakeState, item: _Running) -> None:
        if state.owner is not None:
            self._done(state.owner, item)

    def _dispatch(self) -> None:
        """Start the ready tasks for which there are slots.

        Each make has a slot of its own and takes a shared one for each further job; it gives one back with each job
        that ends while others of its jobs run (function `free_child` in job.c of GNU make).
        """
        for state in list(self.makes):
            while self._may_start(state):
                number = heapq.heappop(state.ready)
                task = _TaskState(state.make.tasks[number], state, number)
                self.tokens -= bool(state.running)
                state.running += 1
                because, why = self._cause(state, number)
                self._start(task, max(task.task.serial_s, NOTHING_S), 1, because, why)

    def _may_start(self, state: _MakeState) -> bool:
        has_slot = not state.running or self.tokens > 0
        return bool(state.ready) and has_slot

    def _cause(self, state: _MakeState, number: int) -> tuple[_Running | None, str]:
        """Return the last piece of work that a task of a make waited for, and the reason in words."""
        cause, why = state.cause(number)
        # A task that became ready before now was held back by the lack of a slot alone.
        if self.freed_token is not None and self._ended_before_now(cause):
            return self.freed_token, "a free job slot"
        return cause, why

    def _ended_before_now(self, item: _Running | None) -> bool:
        return item is not None and item.ended_s < self.now - NOTHING_S

    def _start(self, task: _TaskState, left_s: float, width: int, because: _Running | None, why: str) -> None:
        item = _Running(left_s, width, self.now, task.task.name, task.task.process, because, why, task=task)
        self.running.append(item)


def predict(root: Make, jobs: int, *, cores: int | None = None, pool: int | None = None) -> Prediction:
    """Return the prediction for a build with `jobs` jobs on `cores` cores, by default as many.

    The work of a process pool is shared by as many workers as there are cores, at most `pool`. Each process needs the
    CPU time that was recorded; where more processes run than there are cores, they share them equally.
    """
    cores = cores or jobs
    wall_s, last = _Machine(root, jobs, cores, pool or cores).run()
    total_s = work_s(root)
    use = round(_use(total_s, wall_s, cores), 4)
    path = tuple(reversed(list(_back(last))))
    return Prediction(jobs=jobs, wall_s=round(wall_s, 3), work_s=round(total_s, 3), use=use, path=path)


def _use(total_s: float, wall_s: float, cores: int) -> float:
    """Return the CPU time over the time of all cores, from 0 to 1."""
    return total_s / (wall_s * cores) if wall_s else 0.0


def span(root: Make, pool: int) -> Prediction:
    """Return the prediction for a build with a core and a slot for every task; a pool has `pool` workers at most."""
    return predict(root, UNLIMITED, cores=UNLIMITED, pool=pool)


def _back(item: _Running | None) -> Iterator[PathItem]:
    """Yield the critical path backwards: the piece of work that ended last, then the one it waited for, and so on."""
    while item is not None:
        wall_s = item.ended_s - item.began_s
        if wall_s > NOTHING_S * 10:  # pieces without work were given NOTHING_S, which is no time of the build's
            yield PathItem(name=item.name, process=item.process, wall_s=round(wall_s, 4), waited_for=item.why)
        item = item.because


def limit(found: Prediction) -> str:
    """Return the limit of a prediction in words: busy cores, or else the three longest items of the critical path."""
    if found.use >= BUSY:
        return f"cores ({found.use:.0%} busy)"
    longest = sorted(found.path, key=lambda item: -item.wall_s)[:3]
    stretches = ", ".join(f"{short(item.name)} {item.wall_s:.1f} s" for item in longest)
    return f"path ({found.use:.0%} busy): {stretches}"
