from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

from matrix.checks import registry
from matrix.model.result import Verdict
from matrix.runs.kept_builds import FOLDER as KEPT_BUILDS
from tests.engine.bench import FAKE, PLACE, ROOT, Bench, Done

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine

BUILDS = ("fake", "fake-out", "fake-spawn")
SKIPPED = {
    "fake": {"source-untouched", "start-method"},
    "fake-out": {"start-method"},
    "fake-spawn": set(registry()) - {"start-method"},
}


@pytest.fixture(scope="module")
def ran(benches: Callable[[str], Bench], engine: Engine) -> tuple[Bench, Done, list[str]]:
    """Run the good tree in each of its builds; return what containers were made for it, too."""
    bench = benches("good")
    bench.tree("good")
    with bench.counted(engine) as names:
        done = bench.run(*(f"{build}@good" for build in BUILDS))
    return bench, done, names


@pytest.mark.engines("docker", "podman")
@pytest.mark.parametrize("build", BUILDS)
def test_a_good_tree_passes_every_check_that_its_build_can_have(ran: tuple[Bench, Done, list[str]], build: str) -> None:
    bench, done, _ = ran
    assert done.status == 0, done.text
    result = bench.result(f"{build}@good")
    verdicts = {check.check: check.verdict for check in result.checks}
    skipped = {name for name, verdict in verdicts.items() if verdict == Verdict.SKIP}
    passed = {name for name, verdict in verdicts.items() if verdict == Verdict.PASS}
    assert skipped == SKIPPED[build]
    assert passed == verdicts.keys() - skipped
    assert all(check.examined or check.verdict == Verdict.SKIP for check in result.checks)


def test_every_step_has_its_log_status_times_and_processes(ran: tuple[Bench, Done, list[str]]) -> None:
    bench, _, _ = ran
    steps = {step.name: step for step in bench.result("fake@good").steps}
    assert list(steps) == [
        "build",
        "self-test",
        "build-again",
        "rebuild",
        "touch-source",
        "touch-header",
        "database",
        "clean",
    ]
    for step in steps.values():
        assert (bench.latest().cell(f"{PLACE}/fake@good") / step.log).is_file()
        assert step.exit_status == 0
        assert step.wall_s > 0
    assert (steps["build"].processes or 0) > (steps["rebuild"].processes or 0) > 0
    assert steps["build"].rss_bytes > 1 << 20
    assert steps["rebuild"].files_changed == 0


def test_a_start_method_is_two_steps_on_the_build_without_it(ran: tuple[Bench, Done, list[str]]) -> None:
    bench, _, _ = ran
    result = bench.result("fake-spawn@good")
    assert [step.name for step in result.steps] == ["build", "regenerate", "generate"]
    assert result.gone_on is None
    assert "jevents.py" in bench.log("fake-spawn@good", "regenerate.log")
    assert "jevents.py" not in bench.log("fake-spawn@good", "build.log")


def test_the_build_of_a_start_method_is_that_of_the_cell_without_it(ran: tuple[Bench, Done, list[str]]) -> None:
    bench, done, _ = ran
    build = bench.result("fake@good").step("build")
    assert build
    assert bench.result("fake-spawn@good").saved_s == pytest.approx(build.user_s + build.system_s, abs=0.1)
    assert "1 cell continued from the build of another cell, which saved" in done.text
    logs = list((bench.latest().folder / KEPT_BUILDS).rglob("build.log"))
    assert logs == []  # nothing was built for it alone


def test_touching_rebuilds_just_the_dependents(ran: tuple[Bench, Done, list[str]]) -> None:
    bench, _, _ = ran
    figures = bench.check("fake-out@good", "touch").figures
    assert figures["touch-source: objects"] == 1
    assert figures["touch-header: objects"] == 3


def test_the_result_says_exactly_what_was_built_with_what(ran: tuple[Bench, Done, list[str]]) -> None:
    bench, _, _ = ran
    result = bench.result("fake@good")
    assert result.image
    assert result.image.digest.startswith("sha256:")
    assert "gcc" in result.image.packages
    assert result.tree
    assert result.tree.version == "9.8.7"
    assert len(result.tree.sha256) == 64


def test_the_command_that_reproduces_a_cell_names_the_configuration_too(ran: tuple[Bench, Done, list[str]]) -> None:
    bench, _, _ = ran
    words = bench.result("fake@good").reproduce
    assert f"--configs {FAKE}" in words
    assert f"--configs {bench.configs}" in words
    assert f"--tree good --select {PLACE}/fake" in words


def test_a_cell_runs_once_whatever_the_number_of_its_pytest_items(ran: tuple[Bench, Done, list[str]]) -> None:
    bench, _, names = ran
    log = (bench.latest().folder / "pytest.log").read_text()
    assert " passed" in log
    assert len(names) == 2 * len(BUILDS)


def test_the_run_is_gone_from_the_engine(ran: tuple[Bench, Done, list[str]], engine: Engine) -> None:
    bench, _, _ = ran
    assert bench.left(engine) == []


def test_progress_names_cells_steps_and_what_is_left(ran: tuple[Bench, Done, list[str]]) -> None:
    _, done, _ = ran
    assert "3 of 3 cells to do, 2 at once" in done.out
    assert f"[3/3] {PLACE}/" in done.out
    assert "verdict: PASS (3 PASS)" in done.out


def test_the_reports_come_from_what_was_kept(ran: tuple[Bench, Done, list[str]]) -> None:
    bench, _, _ = ran
    text = bench.command("report")
    assert text.status == 0
    assert "verdict: PASS (3 PASS)" in text.out
    done = bench.command("report", bench.latest().name, "--format", "json")
    report = json.loads(done.out)
    assert [cell["id"] for cell in report["cells"]] == sorted(f"{PLACE}/{build}@good" for build in BUILDS)
    assert all(cell["image"]["digest"] and cell["steps"] and cell["checks"] for cell in report["cells"])
    schema = ROOT / "docs" / "report.schema.json"
    if schema.is_file():
        jsonschema.validate(report, json.loads(schema.read_text()))


def test_pytest_by_hand_runs_each_cell_once_too(bench: Bench, engine: Engine) -> None:
    bench.tree("good")
    with bench.counted(engine) as names:
        done = bench.pytest("-n", "2", "--tree", "good", "--select", f"{PLACE}/fake")
    assert done.status == 0, done.text
    assert len(names) == 2
    assert "verdict: PASS (1 PASS)" in done.out
