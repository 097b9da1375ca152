from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.replay.conftest import PLACE

if TYPE_CHECKING:
    from tests.replay.conftest import Replay


def test_list_names_the_cells_of_a_profile(replay: Replay) -> None:
    done = replay.process("list", *replay.words, "--profile", "fake", "--tree", "good")
    assert done.status == 0
    assert done.out.splitlines() == [f"{PLACE}/{build}@good" for build in ("fake-out", "fake-spawn", "fake")]
    assert "3 cells" in done.err


def test_list_as_json_says_what_a_cell_is(replay: Replay) -> None:
    done = replay("list", *replay.words, "--tree", "good", "--select", f"{PLACE}/fake-out", "--json")
    assert json.loads(done.out) == [
        {
            "id": f"{PLACE}/fake-out@good",
            "image": "debian-trixie-min",
            "toolchain": "gcc",
            "build": "fake-out",
            "tree": "good",
            "make": {"prefix": "/usr"},
        }
    ]


def test_the_widest_profile_has_every_image_build_and_tree(replay: Replay) -> None:
    cells = replay("list", "--profile", "full").out.splitlines()
    assert {cell.rpartition("@")[2] for cell in cells} == {"7.3", "7.2", "6.12"}
    assert cells == sorted(cells)
    assert f"{PLACE}/minimal@7.3" in cells


def test_plan_prints_each_step_its_commands_and_what_the_second_build_changes(replay: Replay) -> None:
    done = replay("plan", *replay.words, "--tree", "good", f"{PLACE}/fake-out")
    assert done.status == 0
    assert "make -C /src/tools/perf JOBS=2 prefix=/usr O=/out\n" in done.out
    assert "touch /src/tools/perf/util/pmus.h; make" in done.out
    assert "  TZ=UTC  ->  XST-13:45" in done.out
    steps = json.loads(replay("plan", *replay.words, "--tree", "good", f"{PLACE}/fake-out", "--json").out)["steps"]
    assert [step["name"] for step in steps][:3] == ["build", "self-test", "build-again"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("list", "--select", "debian-trixi/gcc/static"), "selects no cell; did you mean 'debian-trixie/gcc/static"),
        (("list", "--profile", "gat"), "no profile 'gat'; did you mean 'gate'?"),
        (("list", "--tree", "7.33"), "no tree '7.33'; did you mean '7.3'?"),
        (("list", "--select", "*", "--exclude", "*"), "no cell is left"),
        (("list", "--configs", "/nowhere"), "/nowhere: no such folder"),
        (("plan", "debian-*"), "cells\n  Name one of: "),
        (("plan", "nothing"), "'nothing' is no cell"),
        (("run", "--select", "nothing"), "selects no cell"),
        (("run", "--timeout", "0"), "Invalid value for '--timeout'"),
        (("shell", "debian-trixie-min", "--after", "biuld"), "Name one of: "),
        (("nonsense",), "No such command 'nonsense'"),
    ],
)
def test_what_cannot_be_asked_for_is_status_2_and_a_sentence(
    replay: Replay, words: tuple[str, ...], message: str
) -> None:
    done = replay(*words)
    assert done.status == 2
    assert message in done.err
    assert "Traceback" not in done.err


def test_every_mistake_of_every_file_is_told_at_once(replay: Replay) -> None:
    builds = replay.configs / "builds"
    builds.mkdir()
    (builds / "a.yaml").write_text("summary: a\nmkae: {}\n")
    (builds / "b.yaml").write_text("summary: b\nsummary: c\n")
    (builds / "c.yaml").write_text("summary: c\nmake: {NO_AIO: yes, V: 1.10}\n")
    (builds / "d.yaml").write_text("- summary\n")
    (replay.configs / "trees" / "e.yaml").write_text("summary: e\n")
    done = replay("run", *replay.words, "--tree", "good")
    assert done.status == 2
    for line in (
        f"{builds}/a.yaml: unknown key 'mkae'; did you mean 'make'?",
        f"{builds}/b.yaml: line 2: duplicate key 'summary' (first on line 1)",
        f"{builds}/c.yaml: key 'make.NO_AIO': expected a valid string, found true or false (true); quote it",
        f"{builds}/c.yaml: key 'make.V': expected a valid string, found a number (1.1); quote it",
        f"{builds}/d.yaml: expected keys and values, found a list",
        f"{replay.configs}/trees/e.yaml: key 'source' is missing",
    ):
        assert line in done.err


def test_a_cell_that_a_report_prints_can_be_pasted_where_only_the_run_knows_its_tree(replay: Replay) -> None:
    cell = f"{PLACE}/fake@good"
    assert f"{cell} " in replay("report").out
    planned = replay("plan", cell)
    assert (planned.status, planned.err) == (0, f"{cell} is a cell of run {replay.name}\n")
    assert "build (first container)" in planned.out
    for command in ("trace", "predict"):
        done = replay(command, cell, "--run", replay.name, "--step", "rebuild")
        assert (done.status, bool(done.out)) == (0, True), done.err
    for command in ("shell", "trace", "predict"):
        done = replay(command, cell)
        assert (done.status, f"{cell} is a cell of run {replay.name}\n" in done.err) == (3, True), done.err
    moved = replay.run.rename(replay.folder / "moved")
    refused = replay("shell", cell, "--run", str(moved))
    assert (refused.status, "is not in the state folder" in refused.err) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--tree", "good", "--select", f"{PLACE}/fake"),
        ("shell", "--tree", "good", f"{PLACE}/fake"),
        ("clean",),
    ],
)
def test_without_an_engine_the_message_says_where_was_looked_and_what_to_do(
    replay: Replay, words: tuple[str, ...]
) -> None:
    configs = replay.words if words != ("clean",) else []
    done = replay(words[0], *configs, *words[1:])
    assert done.status == 3
    assert f"no container engine answers (looked at {replay.dead})" in done.err
    assert "DOCKER_HOST names the only engine that is tried: correct it (unix:///PATH, tcp://HOST:PORT)" in done.err


def test_doctor_says_what_is_missing(replay: Replay) -> None:
    done = replay("doctor", "--json")
    assert done.status == 3
    rows = {row["what"]: row["ok"] for row in json.loads(done.out)}
    assert rows["container engine"] is False
    assert rows["python"] is True


def test_the_marker_of_cells_is_known_where_pytest_reads_no_configuration(replay: Replay) -> None:
    done = replay.process("--markers", "-c", os.devnull, "-p", "matrix.runs.plugin", module="pytest")
    assert "@pytest.mark.cell: " in done.out


def test_the_private_engine_does_not_run_here(replay: Replay) -> None:
    assert replay("engine", "status").status == 3
    assert replay("engine", "down").out == "it was not running\n"


def test_pytest_by_hand_tells_a_mistake_as_its_own_usage_error(replay: Replay) -> None:
    done = replay.process("tests/cells", "--select", "nothing", "-p", "no:cacheprovider", module="pytest")
    assert done.status == 4
    assert "--select 'nothing' selects no cell" in done.err


def test_help_and_version(replay: Replay) -> None:
    assert replay.process("--version").out.startswith("perf-matrix ")
    for command in ("list", "plan", "run", "report", "shell", "doctor", "clean", "engine"):
        assert replay(command, "--help").status == 0
