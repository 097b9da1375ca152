"""Measures how well a run of many cells uses many hosts: the real scheduler, workers, client and messages; no builds.

`python benchmarks/many_machines.py --cells 10000 --hosts 64 --scale 0.02` prints the efficiency (the cells' time over
that of all hosts from begin to end), what a host waits between two cells, the CPU time of each part and the client's
memory. Each host runs one cell at a time. The cells' times are those of a recorded run of profile gate (docs/using.md),
from 59 to 553 s, times --scale; results are small. All else takes the time that it takes, so that each wait counts
1 / --scale times as much as on real hosts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import itertools
import json
import logging
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import dask
import distributed
from distributed import Worker
from rich.console import Console

from matrix.config import load, selection, tree_words
from matrix.machines import cells_process, health, remote
from matrix.machines.worker import SETTINGS
from matrix.model.result import CellResult, Verdict
from matrix.runs import completion, store
from matrix.runs.engine_access import EngineAccess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run

ROOT = Path(__file__).resolve().parents[1]
FAKE = ROOT / "tests" / "data" / "fake" / "tree"
RECORDED_S = (300, 280, 552, 547, 509, 553, 362, 59, 327)
"""The times of one image's cells in the run of 2026-11-25 that docs/using.md shows."""

PROCESSES = 2
"""The processes that the simulated hosts share: a worker of Dask's takes 60 MB in a process of its own."""

SIMULATED = {**SETTINGS, "distributed.admin.system-monitor.interval": "10s"}
"""Dask's settings for the simulated hosts: 32 in a process would look at its CPU time and files 64 times a second."""

TIMES = "times-*.jsonl"
"""The files in the folder of a measurement with the begin and end of each cell; a file of each host."""


def selected(number: int, folder: Path) -> tuple[list[Cell], list[str]]:
    """Return the first so many cells of all images and builds on copies of the fake tree, and the trees' words."""
    config = load.load()
    words: list[str] = []
    found: list[Cell] = []
    while len(found) < number:
        tree = folder / f"tree{len(words):04}"
        if not tree.exists():
            shutil.copytree(FAKE, tree)
        words.append(f"dir:{tree}")
        found += selection.every(config, [tree_words.tree(config, words[-1])])
    return found[:number], words


class Waiting:
    """A group's process that is a thread: `work` gets the event by which it is asked to end."""

    def __init__(self, work: Callable[[threading.Event], None], on_end: Callable[[], None]) -> None:
        self._stop = threading.Event()
        self._status: int | None = None

        def run() -> None:
            status = 1
            try:
                work(self._stop)
                status = 0
            finally:  # whoever waits for it is to see how it ended
                self._status = status
                on_end()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def status(self) -> int | None:
        """Return the exit status, None while it waits."""
        return self._status

    def close(self) -> None:
        """End the wait."""
        self._stop.set()
        self._thread.join()


def simulate(run: Run, known: dict[CellId, Cell], asked: argparse.Namespace, host: str, stop: threading.Event) -> None:
    """Wait as long as each cell of a group takes, store its result, and note when that was."""
    for cell_id in run.settings().cells:
        if run.result(cell_id) is not None:
            continue
        begun = time.monotonic()
        run.progress(cell_id, "build")
        wall_s = duration_s(cell_id)
        if stop.wait(wall_s * asked.scale):
            return
        result = CellResult(
            id=cell_id, run=run.name, tool_version="0", verdict=Verdict.PASS, definition=known[cell_id], wall_s=wall_s
        )
        run.save(result)
        run.progress(cell_id, "")
        with (asked.folder / TIMES.replace("*", host)).open("a") as file:
            file.write(json.dumps([begun, time.monotonic()]) + "\n")


def duration_s(cell_id: CellId) -> float:
    """Return the time that a cell takes, in seconds."""
    return float(RECORDED_S[zlib.crc32(cell_id.encode()) % len(RECORDED_S)])


def hosts(asked: argparse.Namespace) -> None:
    """Be so many hosts, each a worker of Dask's that runs one cell at a time, until the process is ended."""
    known = {cell.id: cell for cell in selected(asked.cells, asked.folder)[0]}

    def start(run: Run, at_once: int, log: Path, on_end: Callable[[], None]) -> Waiting:
        del at_once
        log.touch()
        host = str(distributed.get_worker().name)
        return Waiting(functools.partial(simulate, run, known, asked, host), on_end)

    cells_process.start = start
    health.fault = lambda: ""

    logging.getLogger("distributed").setLevel(logging.ERROR)

    async def work() -> None:
        workers = [
            Worker(asked.scheduler, nthreads=1, name=f"host-{os.getpid()}-{count}", memory_limit=0, dashboard=False,
                   host="127.0.0.1")
            for count in range(asked.be_hosts)
        ]  # fmt: skip
        await asyncio.gather(*workers)
        sys.stdout.write("connected\n")
        sys.stdout.flush()
        await asyncio.gather(*(worker.finished() for worker in workers))

    with dask.config.set(SIMULATED):
        asyncio.run(work())


def _kill(begun: list[subprocess.Popen[bytes]]) -> None:
    for process in begun:
        process.kill()
        process.wait()


@contextlib.contextmanager
def fleet(asked: argparse.Namespace, folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Give the address of a scheduler that has the hosts, and the ids of its process and of theirs."""
    address = "tcp://127.0.0.1:18799"
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", address]
    share = [
        sys.executable,
        __file__,
        "--cells",
        str(asked.cells),
        "--scale",
        str(asked.scale),
        "--folder",
        str(folder),
    ]
    with contextlib.ExitStack() as undo:
        with (folder / "scheduler.log").open("wb") as log:
            begun = [subprocess.Popen([*scheduler, "--dashboard-address", "127.0.0.1:0"], stdout=log, stderr=log)]
        undo.callback(_kill, begun)
        for count in range(PROCESSES):
            number = asked.hosts // PROCESSES + (count < asked.hosts % PROCESSES)
            begun.append(
                subprocess.Popen([*share, "--be-hosts", str(number), "--scheduler", address], stdout=subprocess.PIPE)
            )
        for process in begun[1:]:
            assert process.stdout is not None
            assert process.stdout.readline() == b"connected\n"
        yield address, [process.pid for process in begun]


def measure(asked: argparse.Namespace, folder: Path) -> None:
    """Run the cells on the hosts, and print how well these were used."""
    found, words = selected(asked.cells, folder)
    run = store.begin(found, words, [], 2)
    with fleet(asked, folder) as (address, pids), (folder / "progress.log").open("w") as log:
        before_s = [cpu_s(pid) for pid in (os.getpid(), *pids)]
        begun = time.monotonic()
        access = EngineAccess(None, Console(file=log), remote.OnWorkers(address))
        completion.complete(run, 0, access, attempts=1, config=load.load())
        ended = time.monotonic()
        client_s, scheduler_s, *hosts_s = (
            cpu_s(pid) - before for pid, before in zip((os.getpid(), *pids), before_s, strict=True)
        )
    results = list(run.results())
    took_s = ended - begun
    cells_s = sum(result.wall_s for result in results) * asked.scale
    client_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    needed_s = cells_s / asked.hosts
    sys.stdout.write(
        f"{len(results)} results of {len(found)} cells on {asked.hosts} hosts, {sorted(set(map(verdict, results)))}\n"
        f"{took_s:.1f} s from begin to end, of which the cells need {needed_s:.1f} s on each host\n"
        f"{waits(folder, begun, ended)}\n"
        f"CPU time: client {client_s:.0f} s, scheduler {scheduler_s:.0f} s, hosts {sum(hosts_s):.0f} s\n"
        f"efficiency {needed_s / took_s:.1%}; memory of the client {client_mib:.0f} MiB at most\n"
    )


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process until now, in seconds: proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def waits(folder: Path, begun: float, ended: float) -> str:
    """Return a line on what the hosts waited for: the first cell, the next one, the end of the others."""
    cells = [sorted(map(json.loads, path.read_text().splitlines())) for path in folder.glob(TIMES)]
    between = [later[0] - earlier[1] for found in cells for earlier, later in itertools.pairwise(found)]
    first_s = statistics.mean(found[0][0] - begun for found in cells)
    last_s = statistics.mean(ended - found[-1][1] for found in cells)
    return (
        f"a host waits {first_s:.2f} s for its first cell, {statistics.mean(between):.3f} s (median"
        f" {statistics.median(between):.3f}) for each other, and {last_s:.2f} s for the run's end"
    )


def verdict(result: CellResult) -> str:
    """Return a result's verdict."""
    return str(result.verdict)


def main() -> None:
    """Measure, or be the hosts of a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--hosts", type=int, default=64)
    parser.add_argument("--scale", type=float, default=0.01)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--scheduler", default="")
    parser.add_argument("--be-hosts", type=int, default=0)
    asked = parser.parse_args()
    if asked.be_hosts:
        hosts(asked)
        return
    with tempfile.TemporaryDirectory() as name:
        for variable in ("STATE", "CACHE"):
            os.environ[f"PERF_MATRIX_{variable}"] = str(Path(name) / variable.lower())
        os.environ["PYTHONPATH"] = str(ROOT)
        measure(asked, Path(name))


if __name__ == "__main__":
    main()
