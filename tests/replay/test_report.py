from __future__ import annotations

import contextlib
import gzip
import json
import shutil
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from filelock import FileLock

from tests.replay.conftest import PLACE, ROOT

if TYPE_CHECKING:
    from tests.replay.conftest import Replay

BAD = f"{PLACE}/fake@bad"
FOUND = {"clean": 3, "no-op": 2, "relocations": 7}


def findings(report: Any, cell_id: str) -> dict[str, int]:
    [cell] = [cell for cell in report["cells"] if cell["id"] == cell_id]
    return {check["check"]: len(check["findings"]) for check in cell["checks"] if check["findings"]}


def test_the_text_has_every_cell_its_findings_their_logs_and_how_to_reproduce_them(replay: Replay) -> None:
    done = replay("report")
    assert done.status == 1
    for check, number in FOUND.items():
        assert f"{BAD} FAIL {check}: {number} findings" in done.out
    assert "  changed:/src/tools/perf/perf\n    expected: no change\n" in done.out
    assert f"see {replay.run}/cells/{BAD}/logs/rebuild.log" in done.out
    assert (replay.run / "cells" / BAD / "logs" / "rebuild.log").is_file()
    assert "to reproduce: perf-matrix run --configs " in done.out
    assert done.out.endswith(f"verdict: FAIL (2 PASS, 1 FAIL)\nrun: {replay.run}\n")


def test_the_json_is_what_its_schema_says(replay: Replay) -> None:
    done = replay("report", replay.name, "--format", "json")
    assert done.status == 1
    report = json.loads(done.out)
    assert report["run"] == replay.name
    assert {cell["id"]: cell["verdict"] for cell in report["cells"]} == {
        f"{PLACE}/fake-spawn@good": "PASS",
        BAD: "FAIL",
        f"{PLACE}/fake@good": "PASS",
    }
    assert findings(report, BAD) == FOUND
    schema = ROOT / "docs" / "report.schema.json"
    if schema.is_file():
        jsonschema.validate(report, json.loads(schema.read_text()))


def test_a_run_is_named_by_its_folder_too(replay: Replay) -> None:
    assert replay("report", str(replay.run)).out == replay("report").out


def test_checking_the_recorded_transcripts_again_says_the_same(replay: Replay) -> None:
    before = json.loads(replay("report", "--format", "json").out)
    done = replay("report", "--check", "--format", "json")
    assert done.status == 1
    after = json.loads(done.out)
    for one, two in zip(before["cells"], after["cells"], strict=True):
        assert one["checks"] == two["checks"]
        assert one["steps"] == two["steps"]
        assert one["verdict"] == two["verdict"]


def known(replay: Replay, *patterns: tuple[str, str]) -> None:
    listed = [
        {"trees": ["bad"], "cells": ["*"], "check": check, "findings": [pattern], "why": "shown", "evidence": "a log"}
        for check, pattern in patterns
    ]
    (replay.configs / "known-failures.yaml").write_text(json.dumps({"failures": listed}))


def test_known_failures_that_were_listed_since_are_xfail(replay: Replay) -> None:
    known(replay, *((check, "*") for check in FOUND))
    done = replay("report", "--check")
    assert done.status == 0, done.out
    assert "verdict: XFAIL (2 PASS, 1 XFAIL)" in done.out
    assert "known failures (configs/known-failures.yaml" in done.out
    assert "  clean: shown (" in done.out


def test_a_new_finding_beside_a_known_one_and_one_that_is_gone_are_failures(replay: Replay) -> None:
    known(replay, ("no-op", "changed:*"), ("clean", "*"), ("relocations", "*"), ("no-op", "ran-install:*"))
    done = replay("report", "--check")
    assert done.status == 1
    assert f"{BAD} FAIL no-op: 2 findings (1 known finding beside)" in done.out
    assert "  ran-linker:/src/tools/perf/perf\n" in done.out
    assert "  known-failure-gone:ran-install:*\n" in done.out
    assert f"{BAD} FAIL clean" not in done.out


def test_a_cell_without_a_result_is_an_error_and_never_green(replay: Replay) -> None:
    for cell in (BAD, f"{PLACE}/fake@good"):
        (replay.run / "cells" / cell / "result.json").unlink()
    done = replay("report")
    assert done.status == 3
    assert f"{BAD}: ERROR: it has no result" in done.out
    assert "verdict: ERROR (1 PASS, 2 lacking)" in done.out


@pytest.mark.parametrize("content", ["", "{", '{"id": 1}', '{"schema_version": 2}'])
def test_a_result_that_is_none_of_ours_is_named(replay: Replay, content: str) -> None:
    path = replay.run / "cells" / BAD / "result.json"
    path.write_text(content)
    done = replay("report")
    assert done.status == 2
    assert f"{path} is no result" in done.err
    assert "Traceback" not in done.err


def test_a_transcript_that_breaks_off_is_named(replay: Replay) -> None:
    path = replay.run / "cells" / BAD / "transcript.json.gz"
    path.write_bytes(path.read_bytes()[:1000])
    done = replay("report", "--check")
    assert done.status == 2
    assert f"{path} is no transcript" in done.err
    assert "Traceback" not in done.err


def test_what_a_cell_wrote_into_a_transcript_is_only_data(replay: Replay) -> None:
    path = replay.run / "cells" / BAD / "transcript.json.gz"
    transcript = json.loads(gzip.decompress(path.read_bytes()))
    transcript["steps"][0]["records"].insert(0, ["process", "a", {}])
    path.write_bytes(gzip.compress(json.dumps(transcript).encode()))
    done = replay("report", "--check", "--format", "json")
    assert done.status == 1
    [cell] = [cell for cell in json.loads(done.out)["cells"] if cell["id"] == BAD]
    [build] = [check for check in cell["checks"] if check["check"] == "build"]
    assert "a record of step build is not as the agent writes it" in build["findings"][0]["actual"]


def test_a_run_that_lacks_nothing_is_resumed_without_an_engine(replay: Replay) -> None:
    done = replay("run", "--resume", replay.name)
    assert done.status == 1
    assert f"run {replay.name}: 0 of 3 cells to do" in done.out


@pytest.mark.parametrize("words", [("report", "nothing"), ("run", "--resume", "nothing")])
def test_a_run_that_is_not_there_is_a_mistake_and_those_that_are_get_named(
    replay: Replay, words: tuple[str, ...]
) -> None:
    done = replay(*words)
    assert done.status == 2
    assert f"no run nothing\n  The newest are: {replay.name}." in done.err


def test_a_format_that_is_not_there_is_a_mistake(replay: Replay) -> None:
    done = replay("report", "--format", "jsn")
    assert done.status == 2
    assert "no format 'jsn'; did you mean 'json'?" in done.err


def test_the_runs_are_named_with_what_came_of_their_cells(replay: Replay) -> None:
    [row] = json.loads(replay("runs", "--json").out)
    assert (row["run"], row["command"], row["cells"], row["lacking"]) == (replay.name, "run", 3, 0)
    assert row["verdicts"] == {"PASS": 2, "FAIL": 1}
    assert not row["going_on"]
    begun = json.loads((replay.run / "cells" / BAD / "result.json").read_text()) | {"verdict": "ERROR"}
    (replay.run / "cells" / BAD / "result.json").write_text(json.dumps(begun))
    for going_on, lacking, verdicts in ((True, 1, {"PASS": 2}), (False, 0, {"PASS": 2, "ERROR": 1})):
        with FileLock(replay.run / "lock") if going_on else contextlib.nullcontext():
            [row] = json.loads(replay("runs", "--json").out)
        assert (row["going_on"], row["lacking"], row["verdicts"]) == (going_on, lacking, verdicts)
    (replay.run / "cells" / BAD / "result.json").unlink()
    broken = replay.run.with_name("20200101T000000Z-0000")
    broken.mkdir()
    (broken / "run.json").write_text("{}")
    said = replay("runs").out
    assert "1 lacking" in said
    assert "unreadable" in said
    one = replay("runs", "--most", "1").out
    assert "unreadable" not in one
    assert "and 1 older ones" in one


def test_where_there_is_no_run_it_is_said_how_to_make_one(replay: Replay) -> None:
    shutil.rmtree(replay.run)
    assert "no run yet" in replay("runs").out


def test_runs_of_several_machines_are_merged_into_one(replay: Replay) -> None:
    other = replay.run.with_name("20261101T000000Z-0000")
    shutil.copytree(replay.run, other)
    settings = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**settings, "run": other.name}))
    shutil.rmtree(other / "cells" / BAD)
    done = replay("merge", str(other), replay.name)
    assert done.status == 1
    assert "verdict: FAIL (2 PASS, 1 FAIL)\n" in done.out
    assert replay.name not in done.out.splitlines()[-1]
    assert replay("report").out == done.out  # the new run is the newest
    assert replay("report", "--check").status == 1  # its transcripts came along


def test_a_run_with_a_shard_is_resumed_as_it_is(replay: Replay) -> None:
    done = replay("run", "--resume", replay.name, "--shard", "1/2")
    assert done.status == 2
    assert "--resume goes with none of" in done.err
