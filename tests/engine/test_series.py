"""A series, a gate and a bisection for real, over the commits of a history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from matrix.trees import git
from tests.engine.histories import NEW, OLD, History

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.engine.api import Engine
    from tests.engine.bench import Done

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def whole(history: History) -> dict[str, Any]:
    """Return what the whole series comes to."""
    done = history.series(f"{history.base}..HEAD", "--base", history.base, *history.where, "--json")
    assert done.status == 1, done.text
    found: dict[str, Any] = json.loads(done.out)
    return found


def broken(row: dict[str, Any]) -> set[str]:
    return {
        f"{said['finding']['kind']}:{said['finding']['subject']}" for held in row["held"] for said in held["broken"]
    }


def test_a_series_names_the_patch_that_breaks_and_the_one_that_mends(history: History, whole: dict[str, Any]) -> None:
    assert whole["breaks"] == [{"cell": history.cell, "keys": [f"clean {NEW}"], "suspects": [2], "mended": 3}]
    assert [broken(row) for row in whole["rows"]] == [set(), {NEW}, set()]


def test_what_the_base_fails_already_is_listed_and_not_blamed(whole: dict[str, Any]) -> None:
    for row in whole["rows"]:
        already = {f"{said['finding']['kind']}:{said['finding']['subject']}" for said in row["held"][0]["already"]}
        assert OLD in already


def test_nothing_was_written_to_the_users_repository(history: History, whole: dict[str, Any]) -> None:
    del whole
    assert git.run(history.repository, "status", "--porcelain") == b""
    assert git.run(history.repository, "for-each-ref", "--format=%(refname)").split() == [b"refs/heads/master"]


def test_a_series_is_reported_again_without_building(history: History, whole: dict[str, Any], engine: Engine) -> None:
    with history.bench.counted(engine) as made:
        done = history.bench.command("series", "--resume", whole["run"])
    assert (done.status, made) == (1, [])
    assert "newly fails from patch 2 on (until patch 3): perf build: Leave a file behind" in done.text


def test_what_a_patch_breaks_is_reproduced_from_its_bundle(
    history: History, whole: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "bundle.tar.gz"
    packed = history.bench.command("bundle", whole["run"], f"{history.cell}@p02", "-o", str(path))
    assert packed.status == 0, packed.text
    base = ("--tree", history.tree(0))
    done = history.bench.command("repro", "--from", str(path), *base, *history.configs, "--json")
    assert done.status == 1, done.text
    data = json.loads(done.out)
    assert data["outcome"]["answer"] == "reproduced", data["outcome"]
    rows = {row["name"]: row["same"] for row in data["ingredients"]}
    assert (rows["tree sha256"], rows["build"]) == ("same", "same")
    elsewhere = ("--tree", history.tree(2))
    refused = history.bench.command("repro", "--from", str(path), *elsewhere, *history.configs)
    assert refused.status == 2, refused.text
    assert "does not apply" in refused.text


def mbox(history: History, tmp_path: Path, words: str) -> Path:
    path = tmp_path / "v7.mbx"
    path.write_bytes(git.run(history.repository, "format-patch", "--stdout", words))
    return path


def test_an_mbox_that_does_not_apply_is_told_with_file_hunk_and_base(history: History, tmp_path: Path) -> None:
    path = mbox(history, tmp_path, f"{history.commits[2]}..HEAD")
    done = history.series(str(path), "--base", history.base, "--base", history.commits[2], *history.where)
    assert done.status == 2, done.text
    assert "patch 1 does not apply" in done.text
    assert "tools/perf/Makefile.perf: hunk 1 of 1 (@@ -" in done.text
    assert f"All of it applies to {history.commits[2]}" in done.text
    assert "Traceback" not in done.text
    alone = history.series(str(path), "--base", history.base, *history.where)
    assert "Name the base that it was made for" in alone.text


def test_a_patch_is_left_out_and_what_needs_it_is_told(history: History) -> None:
    words = (f"{history.base}..HEAD", "--base", history.base, *history.where)
    done = history.series(*words, "--without", "2")
    assert done.status == 2, done.text
    assert "patch 3 does not apply" in done.text
    assert history.series(*words, "--without", "9").status == 2


def test_what_can_be_taken_alone_is_told(history: History) -> None:
    words = (f"{history.base}..HEAD", "--base", history.base, *history.where)
    done = history.series(*words, "--independence", "--json")
    assert done.status == 1, done.text
    found = json.loads(done.out)
    rows = {row["step"]["number"]: (row["step"]["needs"], broken(row)) for row in found["rows"]}
    assert rows == {1: ([], set()), 2: ([], {NEW}), 3: ([2], set())}
    text = history.bench.command("series", "--resume", found["run"]).text
    assert "FAIL alone" in text
    assert "PASS with 2" in text
    assert "newly fails from" not in text


def gate(history: History, number: int, *words: str) -> Done:
    both = ("--base", history.tree(0), "--head", history.tree(number))
    return history.bench.command("gate", *both, *history.configs, "--select", history.cell, "--no-timing", *words)


def test_the_gate_passes_for_what_is_harmless_on_a_base_that_fails(history: History) -> None:
    done = gate(history, 1)
    assert done.status == 0, done.text
    assert "on the base already, so the head is not blamed" in done.text


def test_the_gate_fails_for_what_breaks_more_and_writes_every_report(history: History, tmp_path: Path) -> None:
    done = gate(history, 2, "--output", str(tmp_path))
    assert done.status == 1, done.text
    assert NEW in done.out
    assert OLD not in done.out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "gate.json", "gate.mail", "gate.md", "gate.txt", "gate.xml",
    ]  # fmt: skip
    failed = ET.parse(tmp_path / "gate.xml").getroot().findall(".//failure")  # noqa: S314 - our own
    assert len(failed) == 1
    assert NEW in str(failed[0].text)


def test_the_gate_credits_what_is_mended(history: History) -> None:
    done = history.bench.command(
        "gate", "--base", history.tree(2), "--head", history.tree(3), *history.configs, "--select", history.cell,
        "--no-timing", "--json",
    )  # fmt: skip
    assert done.status == 0, done.text
    [held] = json.loads(done.out)["gate"]["held"]
    assert [said["finding"]["subject"] for said in held["mended"]] == ["/src/tools/perf/new.out"]


def test_a_bisection_names_the_commit(history: History) -> None:
    words = ("--good", history.base, "--bad", history.commits[2], "--select", history.cell, "--check", "clean")
    done = history.bench.command("bisect", *words, *history.where, *history.configs, "--json")
    assert done.status == 0, done.text
    assert json.loads(done.out)["commit"] == history.commits[2]


def test_a_bisection_between_two_that_are_right_is_refused(history: History) -> None:
    words = ("--good", history.base, "--bad", history.commits[1], "--select", history.cell, "--check", "clean")
    done = history.bench.command("bisect", *words, *history.where, *history.configs)
    assert done.status == 2, done.text
    assert "does not newly fail" in done.text


def test_nothing_is_left_in_the_engine(history: History, engine: Engine) -> None:
    assert history.bench.left(engine) == []
