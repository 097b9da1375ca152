"""Traces, predictions and comparisons of the fake tree: what they are made of, never how long anything took."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from docker.models.containers import ContainerCollection
from filelock import FileLock

from matrix.config import load, selection, tree_words
from matrix.engine import private_engine
from matrix.model.cell import Limits
from matrix.model.result import Verdict
from matrix.runs import cell_run, kept_builds, locks, ownership, store
from matrix.runs.judgement import BaseCells
from matrix.verdicts.comparison import MEASURES
from tests.engine.bench import FAKE, PLACE, Bench, Done

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine

MAKEFILE = "tools/perf/Makefile.perf"
MORE_PROCESSES = (MAKEFILE, "TABLES :=", "NOTHING := $(shell true)$(shell true)\nTABLES :=")
IMAGE = ("--image", "debian-trixie-min", "--build", "fake")


@pytest.fixture(scope="module")
def bench(benches: Callable[[str], Bench]) -> Bench:
    made = benches("timing")
    made.tree("good")
    made.tree("more", MORE_PROCESSES)
    made.tree("broken", ("tools/perf/perf.c", "", "#error broken\n"))
    return made


def configs(bench: Bench) -> list[str]:
    return ["--configs", str(FAKE), "--configs", str(bench.configs)]


@pytest.fixture(scope="module")
def compared(bench: Bench, engine: Engine) -> tuple[Done, Any]:
    options = ["--pairs", "6", "--require", "no-op <= 0.01", "--json", *configs(bench)]
    done = bench.command("compare", "good", "more", *IMAGE, *options)
    assert bench.left(engine) == []
    return done, json.loads(done.out)


def test_every_measure_has_every_round_of_every_arm(compared: tuple[Done, Any]) -> None:
    _, found = compared
    rounds = {(one["measure"], one["arm"], one["round"]) for one in found["samples"]}
    assert len(rounds) == len(found["samples"]) == len(MEASURES) * 3 * 6
    assert [one["comparison"]["measure"] for one in found["measured"]] == list(MEASURES)
    assert all(one["wall_s"] > 0 and one["user_s"] + one["system_s"] > 0 for one in found["samples"])


def test_the_arms_are_measured_in_turn(compared: tuple[Done, Any]) -> None:
    _, found = compared
    arms = [one["arm"] for one in found["samples"] if one["measure"] == "no-op"]
    rounds = [arms[start : start + 3] for start in range(0, len(arms), 3)]
    assert all(sorted(one) == ["again", "base", "head"] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_what_does_not_vary_is_counted_beside_it(compared: tuple[Done, Any]) -> None:
    _, found = compared
    base, head = (found[side]["counted"] for side in ("base", "head"))
    assert head["no-op"]["processes"] == base["no-op"]["processes"] + 2
    assert (base["build"]["compiler_runs"], base["no-op"]["compiler_runs"]) == (5, 0)
    assert base["one-file"]["compiler_runs"] == 1


def test_a_requirement_that_is_not_met_fails_the_command(compared: tuple[Done, Any]) -> None:
    done, found = compared
    [(text, (verdict, why))] = found["required"].items()
    assert (done.status, text, verdict) == (1, "no-op <= 0.01", "FAIL")
    assert "more than the required 0.01" in why


def test_a_session_is_kept(compared: tuple[Done, Any], bench: Bench) -> None:
    _, found = compared
    [path] = (bench.state / "comparisons").iterdir()
    assert json.loads(path.read_text()) == found


def test_a_tree_that_cannot_be_built_is_not_measured(bench: Bench, engine: Engine) -> None:
    done = bench.command("compare", "good", "broken", *IMAGE, "-m", "no-op", *configs(bench))
    assert (done.status, "broken: step build failed" in done.err) == (2, True)
    assert bench.left(engine) == []


def test_nothing_is_measured_beside_a_run_nor_run_beside_a_measurement(bench: Bench) -> None:
    with FileLock(bench.state / "measuring.lock"):
        assert "a comparison is being measured" in bench.run("fake@good").err
        compared = bench.command("compare", "good", "good", *IMAGE, *configs(bench))
    assert (compared.status, "another comparison is going on" in compared.err) == (2, True)
    bench.run("fake@good")
    run = bench.latest()
    with FileLock(run.folder / locks.LOCK):
        compared = bench.command("compare", "good", "good", *IMAGE, *configs(bench))
    assert (compared.status, f"{run.name} is going on" in compared.err) == (2, True)


@pytest.mark.parametrize("words", [("trace",), ("predict",), ("shell", "--after", "build")])
def test_nothing_is_built_for_a_look_beside_a_measurement_nor_measured_beside_it(
    bench: Bench, words: tuple[str, ...], engine: Engine
) -> None:
    with FileLock(bench.state / "measuring.lock"):
        done = bench.command(words[0], f"{PLACE}/fake@good", *words[1:], *configs(bench))
    assert (done.status, "a comparison is being measured" in done.err) == (2, True)
    path = bench.state / "busy" / "1.lock"
    path.parent.mkdir(exist_ok=True)
    with FileLock(path):
        compared = bench.command("compare", "good", "good", *IMAGE, *configs(bench))
    assert (compared.status, "is being built" in compared.err) == (2, True)
    assert bench.left(engine) == []


def test_cells_that_are_run_by_hand_are_none_beside_a_measurement_and_leave_no_run(bench: Bench) -> None:
    before = sorted(bench.state.glob("runs/*"))
    with FileLock(bench.state / "measuring.lock"):
        done = bench.pytest("--tree", "good", "--select", f"{PLACE}/fake")
    assert done.status != 0
    assert "a comparison is being measured" in done.text
    assert sorted(bench.state.glob("runs/*")) == before


def test_what_makes_are_told_otherwise_is_not_replayed(bench: Bench) -> None:
    done = bench.command("predict", f"{PLACE}/fake@good", "--step", "clean", *configs(bench))
    assert (done.status, "no step 'clean' to replay" in done.err) == (2, True)


def test_a_trace_is_a_text_a_file_for_perfetto_and_a_picture(bench: Bench, tmp_path: Path, engine: Engine) -> None:
    done = bench.command("trace", f"{PLACE}/fake@good", *configs(bench), "-o", str(tmp_path))
    assert done.status == 0, done.text
    assert "compiler runs" in done.out
    assert done.out == (tmp_path / "build.txt").read_text()
    events = json.loads((tmp_path / "build.json").read_text())["traceEvents"]
    names = {event["name"] for event in events if event["ph"] == "X"}
    assert {"util/evsel.o", "perf", "pmu-events/pmu-events.c"} <= names
    assert "util/evsel.o" in (tmp_path / "build.html").read_text()
    assert bench.left(engine) == []


def test_what_a_run_recorded_can_be_traced_and_replayed_without_an_engine(bench: Bench, tmp_path: Path) -> None:
    bench.run("fake@good")
    options = [f"{PLACE}/fake@good", "--run", bench.latest().name, *configs(bench)]
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    done = bench.command("trace", *options, "--step", "rebuild", "--json", "-o", str(tmp_path), **nowhere)
    assert (done.status, json.loads(done.out)["compiler_runs"]) == (0, 0)
    predicted = json.loads(bench.command("predict", *options, "--jobs", "1,64", "--json", **nowhere).out)
    one, many = predicted["predicted"]
    assert one["wall_s"] == pytest.approx(one["work_s"])
    assert predicted["span"]["wall_s"] <= many["wall_s"] <= one["wall_s"]
    missing = bench.command("trace", f"{PLACE}/fake@more", "--run", bench.latest().name, *configs(bench))
    assert (missing.status, "has no cell" in missing.err) == (2, True)


def test_a_prediction_can_be_held_against_what_is_measured(bench: Bench) -> None:
    options = ["--jobs", "2", "--measure", "1,2", "--times", "1", *configs(bench)]
    done = bench.command("predict", f"{PLACE}/fake@good", *options)
    assert done.status == 0, done.text
    rows = [line.split() for line in done.out.splitlines() if line.strip().startswith(("1 ", "2 "))]
    assert all(row[3].endswith("%") for row in rows)
    assert len(rows) == 2


@pytest.mark.parametrize("words", [["--jobs", "0"], ["--jobs", "two"], ["--step", "self-test"]])
def test_what_cannot_be_replayed_is_told(bench: Bench, words: list[str]) -> None:
    done = bench.command("predict", f"{PLACE}/fake@good", *words, *configs(bench))
    assert (done.status, done.err.startswith("perf-matrix: ")) == (2, True)


NO_PTRACE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
}


def test_where_ptrace_is_forbidden_what_needs_it_is_skipped_and_the_rest_stands(
    bench: Bench, engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create = ContainerCollection.create

    def without_ptrace(self: ContainerCollection, *words: Any, **options: Any) -> Any:
        options["security_opt"] = [*options.get("security_opt", []), f"seccomp={json.dumps(NO_PTRACE)}"]
        return create(self, *words, **options)

    monkeypatch.setattr(ContainerCollection, "create", without_ptrace)
    monkeypatch.setenv("PERF_MATRIX_STATE", str(tmp_path))
    loaded = load.load([FAKE, bench.configs])
    [cell] = selection.select(selection.every(loaded, [tree_words.tree(loaded, "good")]), [f"{PLACE}/fake"])
    run = store.begin([cell], ["good"], [], jobs=2)
    own = private_engine.ensure(None, ownership.label(run.name), print)
    kept = kept_builds.KeptBuilds(own, run, 2, Limits())
    context = cell_run.Context(run, own, 2, Limits(), (), print, kept, BaseCells(run, ""))
    result = cell_run.run(cell, context)
    verdicts = {check.check: check.verdict for check in result.checks}
    assert result.verdict == Verdict.PASS, result.reason
    assert {verdicts[name] for name in ("no-op", "touch", "process-budget")} == {Verdict.SKIP}
    assert {verdicts[name] for name in ("build", "clean", "reproducible", "barriers")} == {Verdict.PASS}
    assert [step.wall_s > 0 for step in result.steps if step.name == "build"] == [True]
    assert [resource for resource in engine.resources() if resource.run == ownership.label(run.name)] == []
