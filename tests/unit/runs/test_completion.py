from __future__ import annotations

import gzip
import io
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from matrix.model.result import Verdict
from matrix.runs import completion, earlier_results, launch, store
from matrix.runs.engine_access import EngineAccess
from tests.unit import conftest as make
from tests.unit.results import done

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.cell_id import CellId
    from matrix.runs.store import Run

CELLS = (make.cell(), make.cell(what=make.build("minimal")))


class FakeLaunch:
    """Stands in for `launch.run`: each call gives every lacking cell the next verdict of its list."""

    def __init__(self, verdicts: dict[str, list[Verdict]]) -> None:
        self.verdicts = verdicts
        self.numbers: list[int] = []

    def __call__(self, run: Run, wanted: tuple[str, ...], number: int, *_: Any) -> None:
        self.numbers.append(number)
        for cell in CELLS:
            found = run.result(cell.id)
            if cell.id in wanted and (found is None or found.verdict == Verdict.ERROR):
                run.save(done(cell, verdict=self.verdicts[cell.id].pop(0)))


def completed(
    monkeypatch: pytest.MonkeyPatch, first: list[Verdict], second: list[Verdict], **more: Any
) -> tuple[FakeLaunch, Run, str]:
    fake = FakeLaunch({CELLS[0].id: first, CELLS[1].id: second})
    monkeypatch.setattr(launch, "run", fake)
    run = store.begin(CELLS, ["7.3"], [], 2)
    out = io.StringIO()
    completion.complete(run, 2, EngineAccess(None, Console(file=out, width=20)), **more)
    return fake, run, out.getvalue()


@pytest.fixture(autouse=True)
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[CellId, ...]]:
    """Let no earlier run have a result, and return the cells for which one is looked for."""
    asked: list[tuple[CellId, ...]] = []
    monkeypatch.setattr(earlier_results, "take", lambda _run, lacking, *_: asked.append(lacking))
    return asked


@pytest.mark.usefixtures("places")
def test_what_an_earlier_run_has_is_not_run(monkeypatch: pytest.MonkeyPatch, taken: list[tuple[CellId, ...]]) -> None:
    def take(run: Run, lacking: tuple[CellId, ...], *_: Any) -> None:
        taken.append(lacking)
        run.save(done(CELLS[0], verdict=Verdict.FAIL))

    monkeypatch.setattr(earlier_results, "take", take)
    fake, _, said = completed(monkeypatch, [], [Verdict.PASS])
    assert taken == [tuple(cell.id for cell in CELLS)]
    assert fake.numbers == [1]
    assert "1 of 2 cells to do" in said


@pytest.mark.usefixtures("places")
def test_what_has_a_result_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, run, said = completed(monkeypatch, [Verdict.FAIL], [Verdict.PASS])
    assert fake.numbers == [2]
    assert said == f"run {run.name}: 2 of 2 cells to do, 2 at once\n"
    out = io.StringIO()
    completion.complete(run, 2, EngineAccess(None, Console(file=out)))
    assert fake.numbers == [2]
    assert "0 of 2 cells to do\n" in out.getvalue()
    fake.verdicts[CELLS[0].id].append(Verdict.PASS)
    one = store.begin(CELLS[:1], ["7.3"], [], 2)
    completion.complete(one, 2, EngineAccess(None, Console(file=out)))
    assert "1 of 1 cell to do, 1 at once\n" in out.getvalue()


@pytest.mark.usefixtures("places")
def test_what_the_infrastructure_failed_at_is_run_once_more_and_no_third_time(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, run, said = completed(monkeypatch, [Verdict.ERROR] * 3, [Verdict.PASS])
    assert fake.numbers == [2, 1]
    assert f"run {run.name}: 1 again, as the infrastructure failed\n" in said
    result = run.result(CELLS[0].id)
    assert result is not None
    assert result.verdict == Verdict.ERROR


@pytest.mark.usefixtures("places")
def test_one_attempt_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, _, said = completed(monkeypatch, [Verdict.ERROR], [Verdict.ERROR], attempts=1)
    assert fake.numbers == [2]
    assert "again" not in said


def test_progress_is_printed_as_it_is_whatever_the_width(places: Path) -> None:
    out = io.StringIO()
    EngineAccess(None, Console(file=out, width=10)).say("[red]a long line of progress[/]")
    assert out.getvalue() == "[red]a long line of progress[/]\n"
    assert not list(places.iterdir())


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("damaged", ["", "{", "another"])
def test_a_result_that_is_damaged_is_named_and_its_cell_done_again(
    damaged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--resume` stopped at it before, until somebody removed the file."""
    fake, run, _ = completed(monkeypatch, [Verdict.FAIL], [Verdict.PASS])
    path = run.cell(CELLS[0].id) / "result.json"
    other = (run.cell(CELLS[1].id) / "result.json").read_text()
    path.write_text(other if damaged == "another" else damaged)
    run.transcript_path(CELLS[0].id).write_bytes(b"hours of work")
    fake.verdicts[CELLS[0].id].append(Verdict.FAIL)
    out = io.StringIO()
    completion.complete(run, 2, EngineAccess(None, Console(file=out)))
    assert fake.numbers == [2, 1]
    named, *_ = out.getvalue().splitlines()
    assert named.startswith(f"{path} is no result")
    assert named.endswith(": the cell is done again")
    assert run.transcript_path(CELLS[0].id).exists()  # until the cell begins: an engine may be lacking
    assert [result.verdict for result in run.results()] == [Verdict.FAIL, Verdict.PASS]


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("kept", [slice(-9), slice(0), slice(1, None)])
def test_a_damaged_transcript_of_the_base_is_named_and_its_cell_done_again(
    kept: slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each cell that was compared with it was an ERROR, however often the run went on."""
    base, head = make.cell(), make.cell(on=make.tree("7.2"))
    run = store.begin([base, head], ["7.3", "7.2"], [], 2, base=base.tree.name)
    for cell in (base, head):
        run.save(done(cell, verdict=Verdict.PASS))
        path = run.transcript_path(cell.id)
        path.write_bytes(gzip.compress(bytes(range(256)) * 9)[kept])
    wanted: list[tuple[str, ...]] = []

    def launched(run: Run, *_: Any) -> None:
        wanted.append(tuple(cell.id for cell in (base, head) if run.result(cell.id) is None))
        run.save(done(base, verdict=Verdict.PASS))

    monkeypatch.setattr(launch, "run", launched)
    out = io.StringIO()
    completion.complete(run, 2, EngineAccess(None, Console(file=out, width=400)))
    assert wanted == [(base.id,)]
    assert f"{run.transcript_path(base.id)} is no whole transcript: the cell is done again\n" in out.getvalue()
