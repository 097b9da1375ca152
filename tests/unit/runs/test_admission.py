"""The memory that a cell waits for before its steps are run."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, NoReturn

import pytest

from matrix import paths
from matrix.runs import admission, locks, schedule, store
from tests.unit import conftest as make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matrix.runs.store import Run

pytestmark = pytest.mark.usefixtures("places")
CELL = make.cell()


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "meminfo"
    monkeypatch.setattr(admission, "MEMORY_FACTS", path)
    return path


@pytest.fixture
def run() -> Run:
    return store.begin([CELL], ["7.3"], [], 2)


def with_free(facts: Path, cells: float) -> None:
    """Let there be free memory for so many cells."""
    facts.write_text(f"MemTotal: 9 kB\nMemAvailable: {int(cells * schedule.CELL_BYTES) >> 10} kB\n")


@contextlib.contextmanager
def another_cell(age_s: float) -> Iterator[None]:
    """Let another cell run that began so many seconds ago."""
    with locks.deciding():
        running = locks.running()
        running.__enter__()
    [path] = (paths.state() / locks.RUNNING).iterdir()
    os.utime(path, (time.time() - age_s,) * 2)
    yield
    running.__exit__(None, None, None)


def never(_: float) -> NoReturn:
    raise AssertionError("it waits")


@pytest.mark.parametrize(("age_s", "room"), [(admission.YOUNG_S * 2, 1.0), (0.0, 2.0)])
def test_a_cell_waits_for_memory_beside_another_one_and_for_what_a_young_one_will_use(
    facts: Path, run: Run, age_s: float, room: float
) -> None:
    with_free(facts, room - 0.01)
    waits: list[float] = []

    def sleep(pause_s: float) -> None:
        waits.append(pause_s)
        if len(waits) == 3:
            with_free(facts, room)

    with another_cell(age_s), admission.admitted(CELL.id, run, sleep=sleep) as waited_s:
        assert waited_s == 3 * admission.PAUSE_S
    at = run.at(CELL.id)
    assert at
    assert at[0] == "wait for 1 GiB of free memory"


def test_a_cell_with_room_begins_now_and_counts_until_its_end(facts: Path, run: Run) -> None:
    with_free(facts, 2.0)
    with another_cell(0.0), admission.admitted(CELL.id, run, sleep=never) as waited_s:
        assert waited_s == 0.0
        assert len(locks.running_for_s()) == 2
    assert locks.running_for_s() == []
    assert run.at(CELL.id) is None


def test_the_only_cell_begins_however_little_memory_there_is(facts: Path, run: Run) -> None:
    with_free(facts, 0.0)
    with admission.admitted(CELL.id, run, sleep=never):
        pass


def test_a_cell_of_a_killed_process_is_not_waited_for_and_its_file_is_removed(facts: Path, run: Run) -> None:
    with_free(facts, 0.0)
    folder = paths.state() / locks.RUNNING
    folder.mkdir(parents=True)
    (folder / "1-killed.lock").touch()
    with admission.admitted(CELL.id, run, sleep=never):
        assert len(list(folder.iterdir())) == 1
    assert list(folder.iterdir()) == []


def test_of_cells_that_wait_together_one_is_admitted_at_a_time(facts: Path, run: Run) -> None:
    with_free(facts, 0.0)
    at_once, most = 0, 0
    changing = threading.Lock()

    def cell() -> None:
        nonlocal at_once, most
        with admission.admitted(CELL.id, run, sleep=lambda _: time.sleep(0.01)):
            with changing:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.05)
            with changing:
                at_once -= 1

    threads = [threading.Thread(target=cell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_on_a_full_disk_the_cell_says_so_itself(facts: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> NoReturn:
        raise OSError(28, "No space left on device")

    with_free(facts, 0.0)
    monkeypatch.setattr(locks, "deciding", full)
    with admission.admitted(CELL.id, run, sleep=never):
        pass


@pytest.mark.parametrize("text", ["", "MemAvailable: much\n", "MemAvailable:\n", "MemFree: 1 kB\n"])
def test_where_nothing_tells_of_memory_nobody_waits(facts: Path, run: Run, text: str) -> None:
    facts.write_text(text)
    assert admission.available_bytes() is None
    with another_cell(0.0), admission.admitted(CELL.id, run, sleep=never):
        pass
    facts.unlink()
    assert admission.available_bytes() is None
