from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from matrix.errors import UsageError
from matrix.model.cell import Limits
from matrix.model.cell_id import CellId
from matrix.model.result import RequirementVerdict, TreeIdentity, Verdict
from matrix.runs import cell_files, merging, run_report, store
from matrix.runs.run_kind import GateRun
from matrix.runs.run_settings import RunSettings
from matrix.runs.shard import Shard
from tests.unit.conftest import result

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = CellId("i/gcc/a@7.3"), CellId("i/gcc/b@7.3")
WHOLE = (FIRST, SECOND)


def identity(digit: str) -> TreeIdentity:
    return TreeIdentity(name="7.3", source="s", sha256=digit * 64, version="7.3", origin="o")


def ran(cell_id: CellId, verdict: Verdict = Verdict.PASS, tree: str = "5", **more: Any) -> store.Run:
    """Return a run of one cell, with its result, a log, a transcript and a tree's note."""
    run = store.new_run()
    values: dict[str, Any] = {"trees": ("7.3",), "cells": (cell_id,), "jobs": 2, "tool_version": "0", **more}
    run.save_settings(RunSettings(run=run.name, started=run.name, **values))
    kept = result(cell_id, verdict, tree=identity(tree))
    run.save(kept.model_copy(update={"run": run.name}))
    run.save_transcript(cell_id, [b"facts"])
    (run.cell(cell_id) / "logs").mkdir()
    (run.cell(cell_id) / "logs" / "build.log").write_text(f"built {cell_id}")
    run.pins.mkdir()
    (run.pins / "7.3.json").write_text("{}")
    return run


def shard(number: int) -> Shard:
    return Shard(number=number, of=2, whole=WHOLE)


@pytest.fixture
def shards(places: Path) -> list[store.Run]:
    assert places
    return [ran(FIRST, shard=shard(1)), ran(SECOND, Verdict.FAIL, shard=shard(2))]


def test_the_shards_are_one_run_with_all_that_is_of_their_cells(shards: list[store.Run]) -> None:
    made = merging.merge(shards)
    assert made.settings().cells == WHOLE
    assert (made.settings().shard, made.settings().run) == (None, made.name)
    assert [found.verdict for found in made.results()] == [Verdict.PASS, Verdict.FAIL]
    for cell_id in WHOLE:
        assert (made.cell(cell_id) / "logs" / "build.log").read_text() == f"built {cell_id}"
        assert made.transcript_path(cell_id).read_bytes() == b"facts"
    assert (made.pins / "7.3.json").is_file()
    assert run_report.of_run(made).unfinished is None


def test_a_shard_that_is_not_there_is_lacking(shards: list[store.Run]) -> None:
    unfinished = run_report.of_run(merging.merge(shards[:1])).unfinished
    assert unfinished is not None
    assert unfinished.lacking == (SECOND,)


@pytest.mark.usefixtures("places")
def test_any_runs_that_agree_are_one() -> None:
    made = merging.merge([ran(FIRST), ran(SECOND, trees=("7.3", "7.2"))])
    assert (made.settings().cells, made.settings().trees) == (WHOLE, ("7.3", "7.2"))


def gate(*require: str) -> GateRun:
    return GateRun(head="7.3", require=require)


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    ("word", "more"),
    [
        ("version of the program", {"tool_version": "1"}),
        ("limits", {"limits": Limits(step_s=7)}),
        ("base", {"base": "7.3"}),
        ("command", {"base": "7.3", "kind": gate()}),
        ("number of shards", {"shard": shard(1)}),
    ],
)
def test_runs_that_differ_in_what_they_did_are_refused(word: str, more: dict[str, Any]) -> None:
    runs = [ran(FIRST), ran(SECOND, **more)]
    before = store.runs()
    with pytest.raises(UsageError, match=f"^runs {runs[0].name} and {runs[1].name} differ in their "):
        merging.merge(runs)
    with pytest.raises(UsageError, match=f" differ in their {word}"):
        merging.merge(runs)
    assert store.runs() == before


@pytest.mark.usefixtures("places")
def test_shards_of_two_selections_are_refused() -> None:
    other = Shard(number=2, of=2, whole=(SECOND, CellId("i/gcc/c@7.3")))
    with pytest.raises(UsageError, match="differ in their selection of cells"):
        merging.merge([ran(FIRST, shard=shard(1)), ran(SECOND, shard=other)])


@pytest.mark.usefixtures("places")
def test_a_tree_of_two_contents_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^tree 7\.3 has another content in run "):
        merging.merge([ran(FIRST), ran(SECOND, tree="6")])


@pytest.mark.usefixtures("places")
def test_a_cell_of_two_verdicts_is_refused_and_an_error_gives_way() -> None:
    with pytest.raises(UsageError, match=r"^i/gcc/a@7\.3 is PASS in run .* and FAIL in run"):
        merging.merge([ran(FIRST), ran(FIRST, Verdict.FAIL)])
    for verdicts in ((Verdict.ERROR, Verdict.PASS), (Verdict.PASS, Verdict.ERROR), (Verdict.PASS, Verdict.PASS)):
        made = merging.merge([ran(FIRST, verdict) for verdict in verdicts])
        assert [found.verdict for found in made.results()] == [Verdict.PASS]


@pytest.mark.usefixtures("places")
def test_one_run_named_twice_is_refused() -> None:
    run = ran(FIRST)
    with pytest.raises(UsageError, match="is named twice"):
        merging.merge([run, run])


@pytest.mark.usefixtures("places")
def test_the_requirements_on_times_come_from_the_shard_that_measured() -> None:
    runs = [
        ran(FIRST, base="7.3", kind=gate(), shard=shard(1)),
        ran(SECOND, base="7.3", kind=gate("no-op no slower than 5 %"), shard=shard(2)),
    ]
    verdicts = {"no-op no slower than 5 %": RequirementVerdict(Verdict.PASS, "1.0")}
    runs[1].save_required(verdicts)
    made = merging.merge(runs)
    assert made.settings().kind == runs[1].settings().kind
    assert made.required() == verdicts
    runs[0].save_required(verdicts)
    with pytest.raises(UsageError, match="have both measured times"):
        merging.merge(runs)


@pytest.mark.usefixtures("places")
def test_links_and_files_of_other_names_stay_where_they_are(tmp_path: Path) -> None:
    run = ran(FIRST)
    folder = run.cell(FIRST)
    (tmp_path / "secret").write_text("secret")
    (folder / "logs" / "link.log").symlink_to(tmp_path / "secret")
    (folder / "logs" / "other.txt").write_text("x")
    (folder / "logs" / "diffoscope.txt").write_text("to which a finding points")
    (folder / "program").write_text("x")
    os.mkfifo(folder / "logs" / "pipe.log")
    made = merging.merge([run])
    left = sorted(str(path.relative_to(made.cell(FIRST))) for path in made.cell(FIRST).rglob("*") if not path.is_dir())
    assert left == ["logs/build.log", "logs/diffoscope.txt", "result.json", "transcript.json.gz"]


@pytest.mark.usefixtures("places")
def test_a_cell_of_too_much_is_refused_and_no_run_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ran(FIRST)
    before = store.runs()
    monkeypatch.setattr(cell_files, "FILE_BYTES", 3)
    with pytest.raises(UsageError, match="has more than 3 bytes"):
        merging.merge([run])
    monkeypatch.setattr(cell_files, "MOST_FILES", 2)
    with pytest.raises(UsageError, match="has 3 files"):
        merging.merge([run])
    assert store.runs() == before
