"""Shows how the cost of a run grows with its cells: 18, 100 and 500 on a simulated clock, by xdist's own scheduler.

`python benchmarks/growth.py` builds nothing. The cells are those of the configuration, on as many trees as are needed.
A cell takes the CPU time that one of its build took in November 2026 (7.3 on debian-trixie, two cores, two cells at
once, so that each has a core to itself), or the program's own estimate of it, and by chance up to a fifth more or less.
Cells were begun in the order of their ids until then. One worker runs a build and those that continue from it.
"""

from __future__ import annotations

import argparse
import heapq
import inspect
import random
import sys
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling

from matrix.config import load, selection
from matrix.model.cell_id import CellId, Place
from matrix.runs import schedule
from matrix.runs.run_settings import RunSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matrix.model.cell import Cell

RECORDED_S = {
    Place("debian-trixie/gcc/minimal"): 334.0,
    Place("debian-trixie/gcc/out-of-tree"): 535.0,
}
CHECKS = 10
"""The items of a cell, one for each check; the first one takes the cell's time."""

SIZES = (18, 100, 500)
WORKERS = (2, 16)


@dataclass(frozen=True)
class Outcome:
    """A simulated run: its duration, the end of its first cell, and the busy part of its workers' time."""

    took_s: float
    first_s: float
    busy: float


class Worker:
    """A worker of xdist on a simulated clock: it begins an item when it has another one, or is told that none comes."""

    def __init__(self, number: int) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.shutting_down = False
        self.queue: list[int] = []
        self.is_idle = True

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Take items, as xdist's controller of a worker does."""
        self.queue += indices

    def shutdown(self) -> None:
        """Take the news that there are no more items."""
        self.shutting_down = True

    @property
    def may_begin(self) -> bool:
        """Whether an item begins now."""
        return self.is_idle and bool(self.queue) and (len(self.queue) > 1 or self.shutting_down)


def simulated(cells: Sequence[tuple[CellId, str]], durations_s: dict[CellId, float], number: int) -> Outcome:
    """Return what the run of these cells, each with its group, comes to with a number of workers, in this order."""
    collection = [
        f"test_cells.py::test_cell[{cell}:{check}]@{group}" for cell, group in cells for check in range(CHECKS)
    ]
    option = SimpleNamespace(loadscopereorder=False, tx=[f"{number}*popen"])
    config: Any = SimpleNamespace(option=option, getvalue=lambda name: getattr(option, name))
    scheduler = LoadGroupScheduling(config, Producer("growth", enabled=False))
    workers = [Worker(one) for one in range(number)]
    for worker in workers:
        scheduler.add_node(worker)
    for worker in workers:
        scheduler.add_node_collection(worker, collection)
    scheduler.schedule()
    events: list[tuple[float, int]] = []
    now, ends = 0.0, list[float]()
    while True:
        for turn, worker in enumerate(workers):
            if worker.may_begin:
                worker.is_idle = False
                (cell, _), check = cells[worker.queue[0] // CHECKS], worker.queue[0] % CHECKS
                heapq.heappush(events, (now + (0.0 if check else durations_s[cell]), turn))
        if not events:
            break
        now, turn = heapq.heappop(events)
        ended, worker = workers[turn].queue.pop(0), workers[turn]
        worker.is_idle = True
        if ended % CHECKS == 0:
            ends.append(now)
        scheduler.mark_test_complete(worker, ended)
    assert len(ends) == len(cells)
    return Outcome(now, min(ends), sum(durations_s.values()) / (number * now))


def cells(number: int) -> list[Cell]:
    """Return so many cells of the product's configuration: of the profile gate, or of all images on several trees."""
    config = load.load()
    if number <= min(SIZES):
        return list(selection.of_profile(config, selection.profile(config, "gate"), ["7.3"]))[:number]
    copies = [config.trees["7.3"].model_copy(update={"name": f"t{one:02}"}) for one in range(number)]
    found: list[Cell] = []
    while len(found) < number:
        found += selection.every(config, [copies.pop(0)])
    return sorted(found[:number], key=lambda cell: cell.id)


def timed(work: Callable[[], list[str]]) -> tuple[list[str], float]:
    """Return the work's outcome, and its CPU time in seconds."""
    began = time.process_time()
    found = work()
    return found, time.process_time() - began


def rows(number: int, seed: int) -> list[str]:
    """Return the lines of the table for a number of cells."""
    found = cells(number)
    settings = RunSettings(
        run="growth", started="", tool_version="0", trees=("7.3",), cells=tuple(cell.id for cell in found), jobs=2
    )
    chance = random.Random(seed)  # noqa: S311 - noise, no secret
    durations_s = {
        cell: mean_s * chance.uniform(0.8, 1.2) for cell, mean_s in schedule.durations_s(found, RECORDED_S).items()
    }
    groups = {cell.id: schedule.group(settings, cell) for cell in found}
    together_s: dict[str, float] = {}
    for cell, group in groups.items():
        together_s[group] = together_s.get(group, 0.0) + durations_s[cell]
    decided, took_s = timed(lambda: schedule.in_order(schedule.expected(settings, found, RECORDED_S)))
    rank = {group: number for number, group in enumerate(decided)}
    pairs = [(cell.id, groups[cell.id]) for cell in sorted(found, key=lambda cell: bool(cell.build.start_method))]
    by_id = sorted(pairs, key=lambda pair: pair[1])
    ours = sorted(pairs, key=lambda pair: rank[pair[1]])
    lines = []
    for workers in WORKERS:
        limit_s = max(sum(durations_s.values()) / workers, *together_s.values())
        for name, order in (("by id", by_id), ("ours", ours)):
            began = time.process_time()
            one = simulated(order, durations_s, workers)
            cost_s = time.process_time() - began + (took_s if name == "ours" else 0.0)
            lines.append(
                f"| {len(found)} | {workers} | {name} | {one.took_s / 60:.1f} min | {limit_s / one.took_s:.1%} | "
                f"{one.busy:.1%} | {one.first_s / 60:.1f} min | {1000 * cost_s:.0f} ms |"
            )
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules[__name__]))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    sys.stdout.write("| cells | workers | order | took | of the limit | busy | first verdict | our CPU time |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|---|\n")
    for number in SIZES:
        sys.stdout.write("".join(f"{line}\n" for line in rows(number, options.seed)))


if __name__ == "__main__":
    main()
