from __future__ import annotations

import io
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from matrix.model.cell_id import CellId
from matrix.model.result import Verdict
from matrix.runs import progress, store
from matrix.runs.progress import Progress
from matrix.runs.run_kind import GateRun, PlainRun
from matrix.runs.run_settings import RunSettings
from tests.unit.results import done

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.runs.run_kind import RunKind

CELLS = tuple(CellId(f"i/gcc/b{number}@t") for number in range(18))


class CountingRun(store.Run):
    """A run that counts how often a state file is read."""

    reads = 0

    def at(self, cell_id: str) -> tuple[str, float] | None:
        type(self).reads += 1
        return super().at(cell_id)


@pytest.fixture
def run(tmp_path: Path) -> store.Run:
    CountingRun.reads = 0
    return begin(tmp_path, PlainRun())


def begin(folder: Path, kind: RunKind) -> store.Run:
    run = CountingRun(folder / "r1")
    base = "" if isinstance(kind, PlainRun) else "t"
    run.save_settings(
        RunSettings(
            run="r1",
            started="",
            tool_version="0",
            trees=("t",),
            cells=CELLS,
            jobs=1,
            base=base,
            kind=kind,
        )
    )
    return run


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, no_color=True)


def printed(where: Console) -> list[str]:
    assert isinstance(where.file, io.StringIO)
    return where.file.getvalue().splitlines()


def table(shown: Progress) -> list[str]:
    where = console(terminal=False)
    where.print(shown.table())
    return printed(where)


def test_a_state_file_that_did_not_change_is_not_read_again(run: store.Run) -> None:
    for cell_id in CELLS:
        run.progress(cell_id, "build")
    shown = Progress(run, CELLS, console(terminal=True))
    for _ in range(10):
        shown.look()
    assert CountingRun.reads == len(CELLS)
    run.progress(CELLS[3], "touch")
    for _ in range(10):
        shown.look()
    assert CountingRun.reads == len(CELLS) + 1
    assert [line for line in table(shown) if "touch" in line] == [f"  {CELLS[3]}  touch  0 s"]


@pytest.mark.parametrize("jump_s", [-86400.0, 4000 * 86400.0])
def test_a_clock_that_is_set_meanwhile_is_in_no_duration(
    jump_s: float, run: store.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table said that a step had taken -86400 s."""
    where = console(terminal=False)
    shown = Progress(run, CELLS[:2], where)
    run.progress(CELLS[0], "build")
    shown.look()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump_s)
    run.progress(CELLS[1], "build")
    shown.look()
    assert printed(where) == [f"     0 s  {cell_id}  build" for cell_id in CELLS[:2]]
    assert table(shown) == ["0 of 2 cells done, 2 left, 0 s", *(f"  {cell_id}  build  0 s" for cell_id in CELLS[:2])]


def test_a_cell_that_was_not_begun_is_not_read(run: store.Run) -> None:
    shown = Progress(run, CELLS, console(terminal=False))
    shown.look()
    assert CountingRun.reads == 0
    assert table(shown) == ["0 of 18 cells done, 18 left, 0 s"]
    assert table(Progress(run, CELLS[:1], console(terminal=False))) == ["0 of 1 cell done, 1 left, 0 s"]


def test_off_a_terminal_each_step_is_a_line_and_each_end_is_numbered(run: store.Run) -> None:
    where = console(terminal=False)
    shown = Progress(run, CELLS[:2], where)
    for step in ("build", "build", ""):
        run.progress(CELLS[0], step)
        shown.look()
    run.save(done(id=CELLS[1], verdict=Verdict.ERROR))
    run.progress(CELLS[1], "")
    shown.look()
    assert printed(where) == [
        f"     0 s  {CELLS[0]}  build",
        f"[1/2] {CELLS[0]} no result (0 s)",
        f"[2/2] {CELLS[1]} ERROR (0 s)",
    ]
    assert table(shown) == ["2 of 2 cells done, 0 left, 0 s"]


def test_a_step_forges_no_line_of_progress_and_steers_no_terminal(run: store.Run) -> None:
    where = console(terminal=False)
    shown = Progress(run, CELLS[:1], where)
    run.progress(CELLS[0], "build\x1b[2J\n[1/1] forged PASS")
    shown.look()
    assert printed(where) == [f"     0 s  {CELLS[0]}  build?[2J?[1/1] forged PASS"]
    assert table(shown)[1:] == [f"  {CELLS[0]}  build?[2J?[1/1] forged PASS  0 s"]


def test_on_a_terminal_only_ends_are_lines_of_their_own(run: store.Run) -> None:
    where = console(terminal=True)
    shown = Progress(run, CELLS[:1], where)
    run.progress(CELLS[0], "build")
    shown.look()
    assert printed(where) == []
    run.save(done(id=CELLS[0], verdict=Verdict.PASS))
    run.progress(CELLS[0], "")
    shown.look()
    assert printed(where) == [f"[1/1] {CELLS[0]} PASS (0 s)"]


def test_a_cell_that_is_run_again_is_shown_as_running_and_its_end_again(run: store.Run) -> None:
    where = console(terminal=False)
    shown = Progress(run, CELLS[:1], where)
    for step in ("", "build", ""):
        run.progress(CELLS[0], step)
        shown.look()
        assert len(table(shown)) == (2 if step else 1)
    assert [line.split()[0] for line in printed(where)] == ["[1/1]", "0", "[1/1]"]


@pytest.mark.parametrize(("verdict", "word"), [(Verdict.FAIL, "done"), (Verdict.ERROR, "ERROR")])
def test_a_cell_that_is_compared_with_its_base_has_no_verdict_of_its_own(
    tmp_path: Path, verdict: Verdict, word: str
) -> None:
    run = begin(tmp_path, GateRun(head="t"))
    where = console(terminal=False)
    run.save(done(id=CELLS[0], verdict=verdict))
    run.progress(CELLS[0], "")
    Progress(run, CELLS[:1], where).look()
    assert printed(where) == [f"[1/1] {CELLS[0]} {word} (0 s)"]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_display_ends_with_its_process_and_prints_what_came_last(
    run: store.Run, monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    monkeypatch.setattr(progress, "LOOK_S", 0.05)
    monkeypatch.setattr(progress, "HEARTBEAT_S", 0)
    where = console(terminal=terminal)
    run.progress(CELLS[0], "build")
    argv = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        shown = Progress(run, CELLS[:1], where)
        looked = shown.look

        def look() -> None:
            looked()
            if CountingRun.reads == 1:  # at the second look the cell has ended, and so has its process
                run.progress(CELLS[0], "")
                process.communicate()

        monkeypatch.setattr(shown, "look", look)
        progress.show(shown, process, where)
    assert any(f"[1/1] {CELLS[0]} no result" in line for line in printed(where))
