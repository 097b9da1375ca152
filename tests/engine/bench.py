"""A bench: the real command line on a real engine, and trees made from the fake one by small edits."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from matrix.engine import cache
from matrix.engine.api import RUN_LABEL
from matrix.runs import ownership, store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from matrix.engine.api import Engine, Resource
    from matrix.model.result import CellResult, CheckResult

ROOT = Path(__file__).resolve().parents[2]
FAKE = ROOT / "tests" / "data" / "fake"
PLACE = "debian-trixie-min/gcc"
PATIENCE_S = 300
"""How long to wait for what must happen: past it the test is broken, whatever the machine's load."""

Edit = tuple[str, str, str]
"""A file below the tree, the text to be replaced in it and the new one; no old text makes or extends the file."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


class Bench:
    """A folder of runs, configuration and trees of its own; the caches are the user's.

    `given` are the variables of its commands: the engine, where it is not the usual one.
    """

    def __init__(self, folder: Path, given: Mapping[str, str] | None = None) -> None:
        self.given = dict(given or {})
        self.folder = folder
        self.state = folder / "state"
        self.configs = folder / "configs"
        self.python: tuple[str, ...] = (sys.executable,)
        self.patience_s = PATIENCE_S
        (self.configs / "trees").mkdir(parents=True)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_") and k != "PERF_MATRIX_RUN"}
        return {**kept, "PERF_MATRIX_STATE": str(self.state), "COLUMNS": "160", **self.given, **more}

    def tree(self, name: str, *edits: Edit) -> Path:
        """Make a configured tree of this name: the fake one with edits."""
        path = self.folder / "trees" / name
        shutil.copytree(FAKE / "tree", path)
        for place, old, new in edits:
            edit(path / place, old, new)
        (self.configs / "trees" / f"{name}.yaml").write_text(f"source: dir:{path}\n")
        return path

    def popen(self, *args: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.python, "-m", "matrix", *args],
            cwd=ROOT,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
        )

    def command(self, *args: str, **more: str) -> Done:
        with self.popen(*args, **more) as process:
            try:
                out, err = process.communicate(timeout=self.patience_s)
            except subprocess.TimeoutExpired:
                steps = [f"{p.parent.name}: {p.read_text()}" for p in self.state.glob("runs/*/cells/**/progress.json")]
                process.terminate()
                out, err = process.communicate()
                pytest.fail("\n".join(["not ended in time; each cell's last step:", *steps, out, err]))
        return Done(process.returncode, out, err)

    def pytest(self, *args: str) -> Done:
        """Run the cells with pytest by hand."""
        argv = [sys.executable, "-m", "pytest", "tests/cells", "-p", "no:cacheprovider", "--configs", str(FAKE)]
        done = subprocess.run(
            [*argv, "--configs", str(self.configs), *args],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def run_words(self, *cells: str) -> list[str]:
        """Return the words of `perf-matrix run` for cells that are named BUILD@TREE."""
        configs = ["--configs", str(FAKE), "--configs", str(self.configs)]
        trees = sorted({cell.partition("@")[2] for cell in cells})
        return [
            "run",
            *configs,
            *(word for tree in trees for word in ("--tree", tree)),
            *(word for cell in cells for word in ("--select", cell if "/" in cell else f"{PLACE}/{cell}")),
        ]

    def run(self, *cells: str, options: tuple[str, ...] = ("-n", "2"), **more: str) -> Done:
        return self.command(*self.run_words(*cells), *options, **more)

    def latest(self) -> store.Run:
        return store.Run(max((self.state / "runs").iterdir(), key=lambda folder: folder.stat().st_ctime_ns))

    def result(self, cell: str) -> CellResult:
        result = self.latest().result(cell if "/" in cell else f"{PLACE}/{cell}")
        assert result is not None, f"{cell} has no result"
        return result

    def check(self, cell: str, name: str) -> CheckResult:
        return next(check for check in self.result(cell).checks if check.check == name)

    def keys(self, cell: str) -> dict[str, set[str]]:
        """Return the findings of each check of a cell that has any."""
        return {c.check: {f.key for f in c.findings} for c in self.result(cell).checks if c.findings}

    def log(self, cell: str, step: str) -> str:
        return (self.latest().cell(f"{PLACE}/{cell}") / "logs" / step).read_text(errors="replace")

    def owner(self) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PERF_MATRIX_STATE", str(self.state))
            return ownership.owner()

    def left(self, engine: Engine) -> list[Resource]:
        """Return what this bench's runs still have in the engine, caches left out."""
        mine = self.owner()
        return [r for r in engine.resources() if r.run.startswith(f"{mine}.") and r.purpose not in cache.KEPT]

    @contextlib.contextmanager
    def counted(self, engine: Engine) -> Iterator[list[str]]:
        """Note the names of the cells' containers that are made for this bench meanwhile: two to a cell."""
        wanted = {
            "event": ["create"],
            "type": ["container"],
        }  # Podman's events have no filter by a label without a value
        client: Any = vars(engine)["client"]
        events = client.events(filters=wanted, decode=True)
        mine, names = f"{self.owner()}.", list[str]()

        def listen() -> None:
            for event in events:
                facts = event["Actor"]["Attributes"]
                if facts.get(RUN_LABEL, "").startswith(mine) and facts["name"].startswith("pbm-"):
                    names.append(facts["name"])

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield names
        finally:
            events.close()
            listener.join()

    def wait(self, reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        """Wait for something that a running command is to do."""
        deadline = time.monotonic() + PATIENCE_S
        while not reached():
            assert process.poll() is None, f"it ended with {process.returncode}: {process.communicate()}"
            assert time.monotonic() < deadline, "it does not come to that"
            time.sleep(0.1)

    def at(self, cell: str, step: str) -> bool:
        """Return whether a cell of the newest run is at a step."""
        if not any((self.state / "runs").glob("*")):
            return False
        found = self.latest().at(f"{PLACE}/{cell}")
        return found is not None and found[0] == step


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text() if path.exists() else ""
    assert old in text, f"{path} does not hold {old!r}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace(old, new) if old else text + new)


def descendants(pid: int) -> list[int]:
    """Return the processes below one that this test started, parents first."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = [child for child, parent in parents.items() if parent == waiting[0]]
        found += below
        waiting = [*waiting[1:], *below]
    return found


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def unfinished(result: CellResult) -> dict[str, str]:
    """Return why the steps of a cell that did not pass did not."""
    return {step.name: step.reason for step in result.steps if step.verdict != "PASS"}
