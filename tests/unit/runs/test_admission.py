"""The memory that a cell waits for before its steps are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.model.result import Verdict
from matrix.runs import admission, schedule, store
from tests.unit import conftest as make
from tests.unit.results import done

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run

pytestmark = pytest.mark.usefixtures("places")
CELL = make.cell()
OTHER = make.cell(what=make.build().model_copy(update={"name": "other"}))


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "meminfo"
    monkeypatch.setattr(admission, "MEMORY_FACTS", path)
    return path


def with_free(facts: Path, free_bytes: int) -> None:
    facts.write_text(f"MemTotal: 9 kB\nMemAvailable: {free_bytes >> 10} kB\n")


def begun() -> Run:
    """Return a run of two cells, of which the other one is at its build."""
    run = store.begin([CELL, OTHER], ["7.3"], [], 2)
    for cell in (CELL, OTHER):
        run.save(done(cell, verdict=Verdict.ERROR, reason=schedule.BEGUN))
    run.progress(OTHER.id, "build")
    return run


def pauses(cell_id: CellId, run: Run, facts: Path, *, until: int = 3) -> int:
    """Return how often a cell waited; after `until` pauses there is memory."""
    found: list[float] = []

    def sleep(pause_s: float) -> None:
        found.append(pause_s)
        if len(found) == until:
            with_free(facts, schedule.CELL_BYTES)

    admission.wait(cell_id, run, sleep=sleep)
    return len(found)


def test_a_cell_waits_for_memory_while_another_one_is_at_work_and_says_so(facts: Path) -> None:
    run = begun()
    with_free(facts, schedule.CELL_BYTES - 1024)
    assert pauses(CELL.id, run, facts) == 3
    at = run.at(CELL.id)
    assert at
    assert at[0] == "wait for 1 GiB of free memory"


def test_a_cell_with_room_begins_now(facts: Path) -> None:
    run = begun()
    with_free(facts, schedule.CELL_BYTES)
    assert pauses(CELL.id, run, facts) == 0
    assert run.at(CELL.id) is None


@pytest.mark.parametrize("chapter", [admission.WAITING, None])
def test_nobody_waits_for_a_cell_that_waits_itself_or_has_ended(facts: Path, chapter: str | None) -> None:
    run = begun()
    with_free(facts, 0)
    if chapter:
        run.progress(OTHER.id, chapter)
    else:
        run.save(done(OTHER, verdict=Verdict.PASS))
    assert pauses(CELL.id, run, facts) == 0


def test_the_wait_ends_though_a_killed_cell_looks_as_if_it_ran(facts: Path) -> None:
    with_free(facts, 0)
    assert pauses(CELL.id, begun(), facts, until=10_000) == admission.LONGEST_S / admission.PAUSE_S


@pytest.mark.parametrize("text", ["", "MemAvailable: much\n", "MemAvailable:\n", "MemFree: 1 kB\n"])
def test_where_nothing_tells_of_memory_nobody_waits(facts: Path, text: str) -> None:
    facts.write_text(text)
    assert admission.available_bytes() is None
    assert pauses(CELL.id, begun(), facts) == 0
    facts.unlink()
    assert admission.available_bytes() is None
