"""Cells on workers, each a process with a state and a cache of its own, on this machine's engine."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from matrix.verdicts import result_key
from tests.engine.bench import FAKE, PLACE, descendants
from tests.engine.fleet import Fleet, wait
from tests.engine.histories import NEW
from tests.engine.test_planted import write_faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matrix.engine.api import Engine
    from tests.engine.bench import Bench
    from tests.engine.histories import History

pytestmark = pytest.mark.engine


@pytest.fixture
def fleet(tmp_path: Path, engine: Engine) -> Iterator[Fleet]:
    made = Fleet(tmp_path / "fleet")
    made.start_scheduler()
    for name in ("w1", "w2"):
        made.start_worker(name)
    yield made
    made.end()
    owners = tuple(made.owner(name) for name in made.workers)
    assert [item for item in engine.resources() if item.run.startswith(owners)] == []
    assert not any(made.runs(name) for name in made.workers)


def test_two_workers_share_a_run_and_a_killed_one_loses_nothing(bench: Bench, fleet: Fleet) -> None:
    for name in ("good", "other"):
        bench.tree(name)
    cells = ("fake@good", "fake@other")
    words = [*bench.run_words(*cells), "--scheduler", fleet.address]
    with bench.popen(*words) as process:
        bench.wait(lambda: fleet.is_at_work("w1") and fleet.is_at_work("w2"), process)
        below = descendants(fleet.workers["w1"].pid)
        fleet.kill(fleet.workers["w1"])
        out, err = process.communicate()
    assert process.returncode == 0, (out, err)
    assert "verdict: PASS (2 PASS)" in out
    wait(lambda: not any(is_alive(pid) for pid in below))
    assert fleet.runs("w1") == []
    for cell in cells:
        assert bench.result(cell).run == bench.latest().name
        assert bench.log(cell, "build.log")
        assert (bench.latest().cell(f"{PLACE}/{cell}") / "transcript.json.gz").stat().st_size > 1000
    to_build = {cell for cell in cells if result_key.is_sampled(bench.result(cell).transcript_key)}
    again = bench.command(*words)
    assert again.status == 0, again.text
    assert {cell for cell in cells if bench.result(cell).reused is None} == to_build


def test_four_workers_do_a_run_that_its_command_has_left_and_a_killed_one_loses_nothing(
    bench: Bench, fleet: Fleet
) -> None:
    names = ("good", "other", "third", "fourth")
    for name in names:
        bench.tree(name)
    for name in ("w3", "w4"):
        fleet.start_worker(name)
    cells = [f"fake@{name}" for name in names]
    left = bench.command(*bench.run_words(*cells), "--scheduler", fleet.address, "--detach")
    assert left.status == 0, left.text
    assert f"perf-matrix report {bench.latest().name}" in left.text
    wait(lambda: all(fleet.is_at_work(worker) for worker in fleet.workers))
    fleet.kill(fleet.workers["w1"])
    wait(lambda: bench.command("report").status == 0)
    report = bench.command("report")
    assert "verdict: PASS (4 PASS)" in report.text
    for cell in cells:
        assert bench.result(cell).run == bench.latest().name
        assert bench.log(cell, "build.log")


def test_a_series_on_workers_comes_to_what_it_comes_to_on_one_machine(history: History, fleet: Fleet) -> None:
    where = ("--scheduler", fleet.address)
    done = history.series(f"{history.base}..HEAD", "--base", history.base, *history.where, *where, "--json")
    assert done.status == 1, done.text
    assert json.loads(done.out)["breaks"] == [
        {"cell": history.cell, "keys": [f"clean {NEW}"], "suspects": [2], "mended": 3}
    ]


@pytest.mark.real
def test_a_gate_on_workers_blames_what_is_new(history: History, fleet: Fleet) -> None:
    both = ("--base", history.tree(0), "--head", history.tree(2), "--scheduler", fleet.address)
    gate = history.bench.command("gate", *both, *history.configs, "--select", history.cell, "--no-timing", "--json")
    assert gate.status == 1, gate.text
    [held] = json.loads(gate.out)["gate"]["held"]
    found = {f"{said['finding']['kind']}:{said['finding']['subject']}" for said in held["broken"]}
    assert found == {NEW}


@pytest.mark.real
def test_faults_are_planted_on_workers(bench: Bench, fleet: Fleet) -> None:
    bench.tree("good")
    write_faults(bench, "forgets", "quiet")
    words = ["--configs", str(FAKE), "--configs", str(bench.configs), "--tree", "good", "--json"]
    done = bench.command("mutants", *words, "--scheduler", fleet.address)
    assert done.status == 1, done.text
    fates: dict[str, list[tuple[str, str]]] = {
        row["cell"].rpartition("/")[2]: [] for row in json.loads(done.out)["planted"]
    }
    for row in json.loads(done.out)["planted"]:
        fates[row["cell"].rpartition("/")[2]].append((row["fault"], row["fate"]))
    assert fates == {
        "fake": [("", "control: silent"), ("forgets", "killed"), ("quiet", "survived")],
        "fake-out": [("", "control: silent"), ("forgets", "killed by another"), ("quiet", "survived")],
    }


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
