"""The benchmark of many machines runs each group of cells that the program makes, to its end."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from matrix.runs import schedule, store

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.runs.store import Run

PATH = Path(__file__).resolve().parents[3] / "benchmarks" / "many_machines.py"


@pytest.fixture(scope="module")
def benchmark() -> Any:
    found = importlib.util.spec_from_file_location("many_machines", PATH)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def ended(benchmark: Any, work: Callable[[threading.Event], None]) -> int | None:
    """Return the exit status of simulated work, None where its end is not told."""
    is_told = threading.Event()
    process = benchmark.Waiting(work, is_told.set)
    is_told.wait(10)
    process.close()
    status: int | None = process.status()
    return status


def test_a_group_of_two_cells_is_run_to_its_end(benchmark: Any, places: Path) -> None:
    cells, words = benchmark.selected(20, places)
    settings = store.begin(cells, words, [], 2).settings()
    spawn = next(cell for cell in cells if cell.build.start_method)
    group = [cell for cell in cells if schedule.group(settings, cell) == schedule.group(settings, spawn)]
    assert len(group) > 1
    run: Run = store.begin(group, words, [], 2)
    asked = argparse.Namespace(scale=1e-5, folder=places)
    known = {cell.id: cell for cell in group}
    assert ended(benchmark, functools.partial(benchmark.simulate, run, known, asked, "h")) == 0
    assert {result.id for result in run.results()} == known.keys()
    times = [json.loads(line) for line in (places / "times-h.jsonl").read_text().splitlines()]
    assert len(times) == len(group)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the failure is what is tested
def test_work_that_fails_ends_with_another_status(benchmark: Any) -> None:
    def fail(_stop: threading.Event) -> None:
        raise ValueError("too many cells")

    assert ended(benchmark, fail) == 1
