"""Runs the cells of a run through pytest-xdist, with live progress, and cleans up whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from matrix import __version__, cells, config, engines, private_engine, session, trees
from matrix.errors import INTERRUPTED, InfrastructureError, MatrixError, UsageError
from matrix.model import BTF
from matrix.result import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from matrix.engines import Engine
    from matrix.result import CellResult
    from matrix.store import Run

POLL_S = 0.5
HEARTBEAT_S = 60
FULL_BYTES = 16 << 10


class Progress:
    """What is shown while cells run: a line per running cell on a terminal, a line per event elsewhere."""

    def __init__(self, run: Run, wanted: tuple[str, ...], console: Console) -> None:
        self.run = run
        self.wanted = wanted
        self.console = console
        self.began = time.time()
        self.said: dict[str, str] = {}

    def look(self) -> Group:
        """Return the present state; where there is no terminal, print what is new in it."""
        running = []
        done = 0
        for cell_id in self.wanted:
            at = self.run.at(cell_id)
            if at is None:
                continue
            step, since = at
            if not step:
                done += 1
                self._say(cell_id, "ended")
                continue
            running.append(Text(f"  {cell_id}  {step}  {time.time() - since:.0f} s"))
            self._say(cell_id, step)
        left = len(self.wanted) - done
        elapsed = time.time() - self.began
        head = Text(f"{done} of {len(self.wanted)} cells done, {left} left, {elapsed:.0f} s", style="bold")
        return Group(head, *running)

    def _word(self, result: CellResult | None) -> str:
        """Return what a cell came to; one that is to be held against a base is not judged by itself."""
        if result is None:
            return "no result"
        settings = self.run.settings()
        held = (settings.head or settings.series) and result.verdict != Verdict.ERROR
        return "done" if held else str(result.verdict)

    def _say(self, cell_id: str, step: str) -> None:
        if self.said.get(cell_id) == step:
            return
        self.said[cell_id] = step
        if step == "ended":
            result = self.run.result(cell_id)
            verdict = self._word(result)
            done = sum(said == "ended" for said in self.said.values())
            where = f"[{done}/{len(self.wanted)}]"
            self.console.print(Text(f"{where} {cell_id} {verdict} ({result.wall_s if result else 0:.0f} s)"))
        elif not self.console.is_terminal:
            self.console.print(Text(f"{time.time() - self.began:6.0f} s  {cell_id}  {step}"))


def workers(asked: int, cells: int) -> int:
    """Return how many cells to run at once: `asked`, or one for each two processors, never more than cells.

    Two processors run two cells, as the serial parts of one cell's build leave room for the other's.
    """
    processors = os.cpu_count() or 1
    return max(1, min(asked or max(min(2, processors), processors // 2), cells))


def at_once(run: Run, todo: tuple[str, ...], asked: int) -> int:
    """Return how many cells of a run to run at once: those that need each other's results are run by one worker."""
    settings = run.settings()
    places = {cell_id.partition("@")[0] for cell_id in todo}
    return workers(asked, len(places if settings.base or settings.planted else todo) or 1)


def jobs(asked: int, at_once: int) -> int:
    """Return make's parallel jobs in each of the cells that run at once: `asked`, or a share of the processors."""
    return asked or max(2, (os.cpu_count() or 2) // at_once)


def run(run: Run, wanted: tuple[str, ...], number: int, host: str | None, console: Console) -> None:
    """Run the cells that the run still lacks; every result is in the run directory as soon as there is one.

    Raises:
        UsageError: the run is being done already, or a tree cannot be.
        InfrastructureError: pytest or the engine could not do their work.
        KeyboardInterrupt: after everything of the run was removed from the engine.

    """
    say: Callable[[str], None] = console.print
    with discarding(run), _alone(run), interruptible():
        engine = private_engine.ensure(host, session.label(run.name), say)
        swept = session.sweep(engine)
        if swept:
            say(f"removed {swept} leftovers of runs that have ended")
        try:
            _get_trees(run, wanted, engine, say)
            _pytest(run, wanted, number, host, console)
        finally:
            session.sweep(engine, run.name)


@contextlib.contextmanager
def discarding(run: Run) -> Iterator[None]:
    """Leave no run behind that ended before its first cell was begun: it would be the newest, and say nothing."""
    try:
        yield
    except (MatrixError, KeyboardInterrupt):
        if not run.begun:
            shutil.rmtree(run.folder, ignore_errors=True)
        raise


@contextlib.contextmanager
def _alone(run: Run) -> Iterator[None]:
    try:
        lock = session.lock(run).acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"run {run.name} is being done by another process", "Wait until it has ended.") from error
    with lock:
        session.refuse_beside_a_measurement()
        yield


def _get_trees(run: Run, wanted: tuple[str, ...], engine: Engine, say: Callable[[str], None]) -> None:
    """Get every tree first: one that cannot be is told before the first cell; one that cannot be got, by its cells.

    Raises:
        UsageError: a tree does not exist, or is no kernel.

    """
    settings = run.settings()
    loaded = config.load([Path(folder) for folder in settings.configs])
    asked = [cells.tree(loaded, word) for word in settings.trees]
    needed = [tree.unedited for tree in asked] if settings.planted else asked
    for tree in {tree.name: tree for tree in needed}.values():
        if settings.planted or any(cell_id.endswith(f"@{tree.name}") for cell_id in wanted):
            with contextlib.suppress(InfrastructureError):
                trees.prepare(tree, engine, say, run.pins)


def _pytest(run: Run, wanted: tuple[str, ...], number: int, host: str | None, console: Console) -> None:
    folder = str(config.cell_tests())
    argv = [
        sys.executable, "-m", "pytest", "-p", "matrix.plugin", "-p", "no:cacheprovider", "-q", "--tb=short",
        "-n", str(number), "--dist", "loadgroup", "-o", "addopts=", "-W", "default",
        "--rootdir", folder, "-c", os.devnull, "--import-mode=importlib", folder,
    ]  # fmt: skip
    environment = {**os.environ, "PERF_MATRIX_RUN": str(run.folder), "PERF_MATRIX_QUIET": "1"}
    if host:
        environment["DOCKER_HOST"] = host
    progress = Progress(run, wanted, console)
    log = run.folder / "pytest.log"
    with log.open("ab") as file, subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, start_new_session=True
    ) as process:  # fmt: skip
        try:
            _wait(process, progress, console)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                console.print("interrupted: ending the cells that run")
            _end(process)
            again = f"perf-matrix {run.settings().command} --resume {run.name}"
            console.print(f"what is done is kept, cell by cell; to go on: {again}", soft_wrap=True)
            raise
    if shutil.disk_usage(run.folder).free < FULL_BYTES:
        hint = f"Free some; then `perf-matrix run --resume {run.name}` does what is lacking."
        raise InfrastructureError(f"No space left on device: {run.folder}", hint)
    if process.returncode not in (0, 1):
        tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-12:])
        raise InfrastructureError(f"pytest ended with status {process.returncode}", f"Its log, {log}, ends:\n  {tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt pytest and its workers, which end their cells and remove their containers; kill what is slow at it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number, patience_s in ((signal.SIGINT, 30), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)


def _wait(process: subprocess.Popen[bytes], progress: Progress, console: Console) -> None:
    if not console.is_terminal:
        said = time.monotonic()
        while process.poll() is None:
            now = progress.look()
            if time.monotonic() - said > HEARTBEAT_S:
                console.print(now)
                said = time.monotonic()
            time.sleep(POLL_S)
        progress.look()
        return
    with Live(progress.look(), console=console, refresh_per_second=2, transient=True) as live:
        while process.poll() is None:
            live.update(progress.look())
            time.sleep(POLL_S)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let each signal that asks for an end raise KeyboardInterrupt, so that nothing is left behind."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGINT, signal.SIGTERM]  # a script's background job ignores SIGINT, and would never end
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as under nohup
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def doctor(host: str | None) -> list[tuple[str, bool, str]]:
    """Return what the matrix needs of this machine: (what, whether it is there, what was found or what to do)."""
    rows = [("perf-build-matrix", True, __version__), ("python", True, sys.version.split()[0])]
    try:
        facts = engines.connect(host).describe()
    except MatrixError as error:
        rows.append(("container engine", False, str(error).replace("\n ", ":")))
    else:
        rows.append(("container engine", True, f"{facts['engine']} at {facts['url']}"))
        rows.append(("overlay storage", facts["storage"].startswith("overlay"), facts["storage"]))
        rows.append(("processors", True, facts["cpus"]))
        btf = Path(BTF)
        rows.append(("BTF of the kernel", btf.is_file(), f"{BTF} (BPF skeletons are made from it)"))
        memory = int(facts["memory_bytes"])
        rows.append(
            (
                "memory",
                memory >= 4 << 30,
                f"{memory / (1 << 30):.1f} GiB (a cell may use 8, and mostly uses 1)",
            )
        )
    return rows


def lacking(run: Run, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the cells of a run that have no result yet, or one that is an ERROR."""
    results = {cell_id: run.result(cell_id) for cell_id in wanted}
    return tuple(cell_id for cell_id, result in results.items() if result is None or result.verdict == Verdict.ERROR)


__all__ = ["INTERRUPTED", "Progress", "at_once", "discarding", "doctor", "jobs", "lacking", "run", "workers"]
