from __future__ import annotations

import gc
import io
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from distributed import LocalCluster
from rich.console import Console

from matrix.config import load
from matrix.config.selection import Selection, selected
from matrix.machines import baggage, group, health, remote, session, supply
from matrix.runs import completion, store
from matrix.runs.engine_access import EngineAccess
from matrix.trees.tree_cache import TreeCache
from tests.unit.machines.simulated import Cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matrix.runs.store import Run

UNCLOSED = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning",
    "ignore:unclosed <socket:ResourceWarning",
)
"""The mark of tests of Dask, which leaves sockets to the garbage collector (distributed/utils.py, get_ip)."""

FAKE = Path(__file__).resolve().parents[2] / "data" / "fake"
TREE = f"dir:{FAKE / 'tree'}"


@dataclass
class Fleet:
    """A scheduler and workers in this process, whose cells are simulated, and a run's command."""

    cluster: LocalCluster
    cells: Cells
    console: Console
    run: Run

    @property
    def access(self) -> EngineAccess:
        return EngineAccess("unix:///nowhere", self.console, remote.OnWorkers(self.cluster.scheduler_address))

    @property
    def text(self) -> str:
        file = self.console.file
        assert isinstance(file, io.StringIO)
        return file.getvalue()

    def interrupted(self, wait: Callable[[], object]) -> float:
        """Complete the run, interrupt it after a wait, and return the seconds from there to its end."""
        at = [0.0]

        def interrupt() -> None:
            wait()
            at[0] = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            self.complete()
        thread.join()
        return time.monotonic() - at[0]

    def complete(self) -> dict[str, str]:
        """Complete the run on the workers, and return its cells' verdicts."""
        completion.complete(self.run, 0, self.access, attempts=1)
        return {str(result.id): str(result.verdict) for result in self.run.results()}


@pytest.fixture
def run(places: Path) -> Run:
    assert places
    config = load.load([FAKE])
    found = selected(config, Selection((FAKE,), (TREE,), ("debian-trixie-min/gcc/fake*",)))
    return store.begin(found.cells, found.trees, [str(FAKE)], 2)


@pytest.fixture
def cells(run: Run, monkeypatch: pytest.MonkeyPatch) -> Cells:
    config = load.load([FAKE])
    found = selected(config, Selection((FAKE,), (TREE,), ("debian-trixie-min/gcc/fake*",)))
    made = Cells({cell.id: cell for cell in found.cells}, lambda _: 0.1)
    made.install(monkeypatch)
    monkeypatch.setattr(health, "fault", lambda: "")
    monkeypatch.setattr(group, "LOOK_S", 0.02)
    monkeypatch.setattr(session, "LOOK_S", 0.05)
    assert run
    return made


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", memory_limit=0,
        silence_logs=50, host="127.0.0.1", protocol="tcp",
    ) as cluster:  # fmt: skip
        yield cluster
    gc.collect()  # sockets that Dask left: they would be warned of in a later test


@pytest.fixture
def trees_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give workers a cache of trees of their own, in this folder; files come to them in small pieces."""
    folder = tmp_path / "trees-of-workers"
    folder.mkdir()

    class OfTheWorkers(TreeCache):
        @classmethod
        def of_this_machine(cls) -> TreeCache:
            return TreeCache(folder)

    monkeypatch.setattr(supply, "TreeCache", OfTheWorkers)
    monkeypatch.setattr(baggage, "BLOCK_BYTES", 20_000)
    return folder


@pytest.fixture
def fleet(run: Run, cells: Cells, cluster: LocalCluster) -> Fleet:
    return Fleet(cluster, cells, Console(file=io.StringIO(), width=200), run)
