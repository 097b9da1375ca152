"""Measures how well a run of many cells uses many hosts: the real scheduler, workers, client and messages; no builds.

`python benchmarks/many_machines.py --cells 10000 --hosts 64 --scale 0.01` prints the efficiency (the cells' time over
that of all hosts from begin to end) and the client's memory. Each host runs one cell at a time. The cells' times are
those of a recorded run of profile gate (docs/using.md), from 59 to 553 s, times --scale; results are small.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from distributed import Worker
from rich.console import Console

from matrix.config import load, selection, tree_words
from matrix.machines import cells_process, health, remote
from matrix.model.result import CellResult, Verdict
from matrix.runs import completion, store
from matrix.runs.engine_access import EngineAccess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run

ROOT = Path(__file__).resolve().parents[1]
FAKE = ROOT / "tests" / "data" / "fake" / "tree"
RECORDED_S = (300, 280, 552, 547, 509, 553, 362, 59, 327)
"""The times of one image's cells in the run of 2026-11-25 that docs/using.md shows."""

PROCESSES = 4
"""The processes that the simulated hosts share: a worker of Dask's takes 60 MB in a process of its own."""


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
    """A group's process that waits for a recorded time and stores a result."""

    def __init__(self, run: Run, known: dict[CellId, Cell], scale: float) -> None:
        self._stop = threading.Event()
        self._status: int | None = None
        self._thread = threading.Thread(target=self._work, args=(run, known, scale), daemon=True)
        self._thread.start()

    def _work(self, run: Run, known: dict[CellId, Cell], scale: float) -> None:
        [cell_id] = run.settings().cells
        run.progress(cell_id, "build")
        wall_s = duration_s(cell_id)
        if self._stop.wait(wall_s * scale):
            return
        run.save(
            CellResult(
                id=cell_id,
                run=run.name,
                tool_version="0",
                verdict=Verdict.PASS,
                definition=known[cell_id],
                wall_s=wall_s,
            )
        )
        run.progress(cell_id, "")
        self._status = 0

    def status(self) -> int | None:
        """Return the exit status, None while it waits."""
        return self._status

    def close(self) -> None:
        """End the wait."""
        self._stop.set()
        self._thread.join()


def duration_s(cell_id: CellId) -> float:
    """Return the time that a cell takes, in seconds."""
    return float(RECORDED_S[zlib.crc32(cell_id.encode()) % len(RECORDED_S)])


def hosts(address: str, number: int, known: dict[CellId, Cell], scale: float) -> None:
    """Be so many hosts, each a worker of Dask's that runs one cell at a time, until the process is ended."""

    def start(run: Run, at_once: int, log: Path) -> Waiting:
        del at_once
        log.touch()
        return Waiting(run, known, scale)

    cells_process.start = start
    health.fault = lambda: ""

    logging.getLogger("distributed").setLevel(logging.ERROR)

    async def work() -> None:
        workers = [
            Worker(address, nthreads=1, name=f"host-{os.getpid()}-{count}", memory_limit=0, dashboard=False,
                   host="127.0.0.1")
            for count in range(number)
        ]  # fmt: skip
        await asyncio.gather(*workers)
        sys.stdout.write("connected\n")
        sys.stdout.flush()
        await asyncio.gather(*(worker.finished() for worker in workers))

    asyncio.run(work())


def _kill(begun: list[subprocess.Popen[bytes]]) -> None:
    for process in begun:
        process.kill()
        process.wait()


@contextlib.contextmanager
def fleet(asked: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Give the address of a scheduler that has the hosts."""
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
        yield address


def measure(asked: argparse.Namespace, folder: Path) -> None:
    """Run the cells on the hosts, and print how well these were used."""
    found, words = selected(asked.cells, folder)
    run = store.begin(found, words, [], 2)
    with fleet(asked, folder) as address, (folder / "progress.log").open("w") as log:
        begun = time.monotonic()
        access = EngineAccess(None, Console(file=log), remote.OnWorkers(address))
        completion.complete(run, 0, access, attempts=1, config=load.load())
        took_s = time.monotonic() - begun
    results = list(run.results())
    cells_s = sum(result.wall_s for result in results) * asked.scale
    client_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    needed_s = cells_s / asked.hosts
    sys.stdout.write(
        f"{len(results)} results of {len(found)} cells on {asked.hosts} hosts, {sorted(set(map(verdict, results)))}\n"
        f"{took_s:.1f} s from begin to end, of which the cells need {needed_s:.1f} s on each host\n"
        f"efficiency {needed_s / took_s:.1%}; memory of the client {client_mib:.0f} MiB at most\n"
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
        known = {cell.id: cell for cell in selected(asked.cells, asked.folder)[0]}
        hosts(asked.scheduler, asked.be_hosts, known, asked.scale)
        return
    with tempfile.TemporaryDirectory() as name:
        for variable in ("STATE", "CACHE"):
            os.environ[f"PERF_MATRIX_{variable}"] = str(Path(name) / variable.lower())
        os.environ["PYTHONPATH"] = str(ROOT)
        measure(asked, Path(name))


if __name__ == "__main__":
    main()
