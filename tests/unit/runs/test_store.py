from __future__ import annotations

import gzip
import json
import re
from typing import TYPE_CHECKING

import pytest

from matrix import files
from matrix.errors import UsageError
from matrix.model.cell import Limits
from matrix.model.cell_id import CellId
from matrix.model.result import Verdict
from matrix.runs import store, transcripts
from matrix.runs.run_kind import BisectRun, ClaimsRun, GateRun, MutantsRun, PlainRun, SeriesRun
from matrix.runs.run_settings import RunSettings
from matrix.scenario import plan
from matrix.scenario.transcript import StepRecord, Transcript
from matrix.verdicts.series import PatchTree
from tests.unit.conftest import build, cell, result

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.runs.run_kind import RunKind

ID = "debian-trixie/gcc/default@7.3"


def transcript(*mentions: str) -> Transcript:
    scenario = plan.scenario(cell(), only=("build",))
    record = StepRecord(step=scenario.steps[0], log="logs/build.log", records=[["mention", *mentions]])
    return Transcript(scenario=scenario, ignore={}, generator_has_pool=True, steps=[record])


@pytest.fixture
def run(places: Path) -> store.Run:
    assert places
    return store.begin([cell(), cell(what=build("static"))], ["7.3"], ["/my/configs"], 3, Limits(step_s=7))


def test_a_run_keeps_what_was_asked_for(run: store.Run) -> None:
    settings = run.settings()
    assert settings.run == run.name
    assert settings.cells == (ID, "debian-trixie/gcc/static@7.3")
    assert (settings.trees, settings.configs, settings.jobs) == (("7.3",), ("/my/configs",), 3)
    assert settings.limits.step_s == 7


@pytest.mark.usefixtures("places")
def test_limits_need_not_be_given() -> None:
    assert store.begin([cell()], ["7.3"], [], 1).settings().limits == Limits()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a/b/file.json"
    files.write(path, "one")
    with pytest.raises(UnicodeEncodeError):
        files.write(path, "two \udcff")
    assert path.read_text() == "one"
    files.write(path, "three")
    assert path.read_text() == "three"


def test_a_write_that_fails_leaves_nothing_beside(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        files.write(tmp_path / "file.json", "\udcff")
    assert list(tmp_path.iterdir()) == []


def test_a_result_is_what_was_kept(run: store.Run) -> None:
    assert run.result(ID) is None
    kept = result(ID, Verdict.FAIL, reason="ä", limits=Limits(step_s=1))
    run.save(kept)
    assert run.result(ID) == kept


def test_a_result_that_is_taken_back_is_lacking_again(run: store.Run) -> None:
    for _ in range(2):
        run.save(result(ID))
        run.progress(ID, "")
        run.save_transcript(ID, transcripts.blocks(transcript()))
        run.forget(ID)
        run.forget(ID)
        assert (run.result(ID), run.at(ID), run.transcript(ID)) == (None, None, None)


def test_results_come_in_the_order_of_the_runs_cells(run: store.Run) -> None:
    run.save(result("debian-trixie/gcc/static@7.3"))
    run.save(result("debian-trixie/gcc/other@7.3"))
    assert [one.id for one in run.results()] == ["debian-trixie/gcc/static@7.3"]
    run.save(result(ID))
    assert [one.id for one in run.results()] == [ID, "debian-trixie/gcc/static@7.3"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"schema_version": 2}',
        "\ud7ff",
        '{"id": 1, "run": "r", "tool_version": "0", "verdict": "OK"}',
    ],
)
def test_a_file_that_is_no_result_is_refused_by_its_name(run: store.Run, text: str) -> None:
    files.write(run.cell(ID) / "result.json", text)
    with pytest.raises(UsageError, match=r"result\.json is no result"):
        run.result(ID)


def test_a_result_of_another_cell_is_refused(run: store.Run) -> None:
    other = result("debian-trixie/gcc/static@7.3")
    files.write(run.cell(ID) / "result.json", other.model_dump_json())
    with pytest.raises(UsageError, match=f"is no result of {ID}: it is one of {other.id}"):
        run.result(ID)


def test_a_result_that_is_no_text_is_refused(run: store.Run) -> None:
    run.save(result(ID))
    (run.cell(ID) / "result.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is no result"):
        run.result(ID)


@pytest.mark.parametrize("text", ["", "[]", '{"run": 1}'])
def test_a_folder_without_settings_is_no_run(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        store.Run(tmp_path).settings()
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match="holds no run"):
        store.Run(tmp_path).settings()


def test_a_transcript_is_what_was_kept(run: store.Run) -> None:
    kept = transcript("ä", "\x00\x1b[2J", "\\udcff")
    assert run.transcript(ID) is None
    run.save_transcript(ID, transcripts.blocks(kept))
    assert run.transcript(ID) == kept


@pytest.mark.parametrize("cut", [0, 5, -5])
def test_a_damaged_transcript_is_refused(run: store.Run, cut: int) -> None:
    run.save_transcript(ID, transcripts.blocks(transcript(*map(str, range(1000)))))
    path = run.cell(ID) / "transcript.json.gz"
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    with pytest.raises(UsageError, match=r"transcript\.json\.gz"):
        run.transcript(ID)


def test_a_transcript_that_is_no_gzip_file_is_refused(run: store.Run) -> None:
    files.write(run.cell(ID) / "transcript.json.gz", "{}")
    with pytest.raises(UsageError, match=r"transcript\.json\.gz"):
        run.transcript(ID)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"steps": [1]}', "\xff", "[" * 100_000])
def test_a_transcript_of_another_shape_is_refused_by_its_name(run: store.Run, text: str) -> None:
    path = run.cell(ID) / "transcript.json.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(text.encode("latin-1")))
    with pytest.raises(UsageError, match=r"transcript\.json\.gz is no transcript: .*\n  Remove the result\.json"):
        run.transcript(ID)


def test_a_cell_says_at_which_step_it_is(run: store.Run) -> None:
    assert run.at(ID) is None
    run.progress(ID, "build")
    at = run.at(ID)
    assert at is not None
    assert at[0] == "build"
    assert at[1] > 0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_a_damaged_progress_file_says_nothing(run: store.Run, text: str) -> None:
    files.write(run.cell(ID) / "progress.json", text)
    assert run.at(ID) is None


def named(name: str) -> store.Run:
    run = store.new_run()
    return store.Run(run.folder.rename(run.folder.with_name(name)))


@pytest.fixture
def three(places: Path) -> list[store.Run]:
    settings = RunSettings(run="r", started="", tool_version="0", trees=("7.3",), cells=(CellId(ID),), jobs=1)
    found = [named(name) for name in ("20260101T000000Z-ffff", "20260102T000000Z-0000", "20251231T000000Z-aaaa")]
    for run in found:
        run.save_settings(settings)
    (places / "state/runs/not-a-run").mkdir()
    return found


def test_runs_come_newest_first(three: list[store.Run]) -> None:
    assert store.runs() == [three[1], three[0], three[2]]


def test_a_run_is_found_by_name_or_folder_or_is_the_newest(three: list[store.Run]) -> None:
    assert store.find(None) == three[1]
    assert store.find(three[2].name) == three[2]
    assert store.find(str(three[0].folder)) == three[0]


def test_a_run_that_is_not_there_is_refused_naming_those_that_are(three: list[store.Run]) -> None:
    with pytest.raises(UsageError, match=f"(?s)no run nope.*{three[1].name}"):
        store.find("nope")


@pytest.mark.usefixtures("places")
def test_without_any_run_that_is_said() -> None:
    assert store.runs() == []
    with pytest.raises(UsageError, match=r"(?s)no run at all.*none yet"):
        store.find(None)


@pytest.mark.usefixtures("places")
def test_new_runs_have_names_of_their_own() -> None:
    assert len({store.new_run().name for _ in range(3)}) == 3


def test_results_are_readable_json(run: store.Run) -> None:
    run.save(result(ID))
    assert json.loads((run.cell(ID) / "result.json").read_text())["verdict"] == "PASS"


def test_a_run_notes_what_its_trees_were_in_a_folder_of_its_own(tmp_path: Path) -> None:
    assert store.Run(tmp_path).pins == tmp_path / "trees"


PATCH = PatchTree(number=1, subject="one", tree="p01")


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        (PlainRun(), "run"),
        (GateRun(head="7.3", require=("build no slower than 5 %",), pairs=3), "gate"),
        (SeriesRun(patches=(PATCH,)), "series"),
        (MutantsRun(planted={"a": "1"}), "mutants"),
        (ClaimsRun(checks=("no-op",)), "claims"),
        (BisectRun(check="no-op"), "run"),
    ],
)
@pytest.mark.usefixtures("places")
def test_a_run_keeps_its_kind_which_knows_the_command_that_goes_on_with_it(kind: RunKind, command: str) -> None:
    kept = store.begin([cell()], ["7.3"], [], 1, base="7.3", kind=kind).settings().kind
    assert kept == kind
    assert kept.command == command


def test_a_run_of_an_older_version_is_refused_in_words(run: store.Run) -> None:
    """Its run.json is of before the kinds: the command followed from which keys were filled in."""
    older = {
        "run": "20261123T205641Z-ea7a", "started": "2026-11-23T20:56:41Z", "tool_version": "0.0.9", "configs": [],
        "trees": ["7.3"], "cells": [ID], "jobs": 2, "limits": {}, "checks": ["no-op"], "planted": {}, "base": "",
    }  # fmt: skip
    files.write(run.folder / "run.json", json.dumps(older))
    with pytest.raises(
        UsageError, match=r"was written by perf-build-matrix 0\.0\.9 in version 1 of run\.json"
    ) as error:
        run.settings()
    assert "begin the run anew" in str(error.value)


@pytest.mark.parametrize("version", [1, 3, "2", None])
def test_a_run_of_any_other_version_is_refused(run: store.Run, version: object) -> None:
    changed = json.loads((run.folder / "run.json").read_text()) | {"schema_version": version}
    files.write(run.folder / "run.json", json.dumps(changed))
    with pytest.raises(UsageError, match=f"in version {version} of run.json"):
        run.settings()


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("trees", [], "trees: Tuple should have at least 1 item"),
        ("cells", [], "cells: Tuple should have at least 1 item"),
        ("cells", ["debian"], "expected IMAGE/TOOLCHAIN/BUILD@TREE, found 'debian'"),
        ("base", "7.2", "no cell is on the base tree '7.2'"),
        ("kind", {"kind": "claims", "checks": []}, "a run of kind claims has no base tree"),
        ("kind", {"kind": "audit"}, "kind: Input tag 'audit'"),
        ("kind", {"kind": "series", "patches": []}, "kind.series.patches: Tuple should have at least 1 item"),
        ("limits", {"pids": "many"}, "limits.pids: Input should be a valid integer"),
    ],
)
def test_settings_that_contradict_themselves_are_no_run(run: store.Run, key: str, value: object, problem: str) -> None:
    changed = json.loads((run.folder / "run.json").read_text()) | {key: value}
    files.write(run.folder / "run.json", json.dumps(changed))
    with pytest.raises(UsageError, match=f"holds no run: .*{re.escape(problem)}"):
        run.settings()


def test_a_run_is_begun_with_its_first_cell(run: store.Run) -> None:
    assert not run.begun
    run.progress(ID, "prepare")
    assert run.begun


@pytest.mark.parametrize("name", ["run.json", "result.json", "required.json", "progress.json"])
def test_a_file_of_gigabytes_is_refused_by_the_limits_name(run: store.Run, name: str) -> None:
    path = run.cell(ID) / name if name in ("result.json", "progress.json") else run.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(8 << 30)
    if name == "progress.json":
        assert run.at(ID) is None
        return
    read = {"run.json": run.settings, "result.json": lambda: run.result(ID), "required.json": run.required}
    with pytest.raises(UsageError, match="it has more than 134217728 bytes, the limit on a file that is read whole"):
        read[name]()
