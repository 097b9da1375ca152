from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

from matrix.checks import registry
from matrix.checks.start_method import methods_seen
from matrix.model.result import Verdict
from matrix.scenario.plan import GENERATED, START_METHODS
from matrix.verdicts import judge
from tests.unit.conftest import PERF, Record, build, cell, command, file, observations, process, step

if TYPE_CHECKING:
    from matrix.model.result import CheckResult

Method = Literal["spawn", "forkserver", "fork"]
GENERATOR = ("python3", "pmu-events/jevents.py", "x86", "all")
SPAWN = ("python3", "-c", "from multiprocessing.spawn import spawn_main; spawn_main()", "--multiprocessing-fork")
SERVER = ("python3", "-c", "from multiprocessing.forkserver import main; main(3)")
TRACKER = ("python3", "-c", "from multiprocessing.resource_tracker import main;main(4)")
SHOWN: dict[str, list[Record]] = {
    "serial": [process(0, *GENERATOR)],
    "fork": [process(0, *GENERATOR), process(1, parent=0)],
    "forkserver": [
        process(0, *GENERATOR),
        process(1, *TRACKER, parent=0),
        process(2, *SERVER, parent=0),
        process(3, parent=2),
    ],
    "spawn": [process(0, *GENERATOR), process(1, *TRACKER, parent=0), process(2, *SPAWN, parent=0)],
}
BUILT = [file(f"{PERF}/pmu-events/pmu-events.c", "same"), file(f"{PERF}/pmu-events/other.c", "x")]
OUTPUTS = [file(f"{GENERATED}/{method}/pmu-events.c", "same") for method in START_METHODS]


def generated(outputs: list[Record] = OUTPUTS, **commands: list[Record]) -> list[Record]:
    """Return the step's records; `fork=[…]` takes the place of what that method shows."""
    ran = []
    for method in START_METHODS:
        shown = commands.get(method, [*SHOWN[method], command(method)])
        ran += shown
    return [*ran, *outputs]


def examined(generate: list[Record], method: Method = "fork", again: list[Record] | None = None,
             **more: Any) -> CheckResult:  # fmt: skip
    of = cell(what=build(start_method=method))
    made = [*SHOWN[method], *BUILT] if again is None else again
    seen = observations(of, {"build": [*SHOWN["fork"], *BUILT], "regenerate": made, "generate": generate}, **more)
    return judge.check_result(registry()["start-method"], seen, [])


def keys(result: CheckResult) -> list[str]:
    return [finding.key for finding in result.findings]


@pytest.mark.parametrize("method", SHOWN)
def test_a_start_method_shows_in_the_generators_children(method: str) -> None:
    processes = step("build", *SHOWN[method]).facts().processes
    assert methods_seen(processes) == ({method} - {"serial"})


def test_processes_of_others_show_nothing() -> None:
    others = [process(0, "make"), process(1, parent=0), process(2, *SPAWN, parent=0), process(3, "cat", parent=9)]
    assert methods_seen(step("build", *others).facts().processes) == set()


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_equal_output_under_every_method_passes(method: Method) -> None:
    result = examined(generated(), method)
    assert (result.verdict, result.figures) == (Verdict.PASS, {"files compared": 4})


@pytest.mark.parametrize("shown", ["serial", "spawn"])
def test_a_method_that_did_not_take_effect_when_make_generates_again_is_a_finding(shown: str) -> None:
    result = examined(generated(), again=[*SHOWN[shown], *BUILT])
    assert keys(result) == ["no-effect:regenerate"]
    assert result.findings[0].expected == "the generator's children show fork"
    assert result.findings[0].actual == ("they show spawn" if shown == "spawn" else "they show no worker")


@pytest.mark.parametrize("method", ["fork", "serial"])
def test_a_method_that_did_not_take_effect_in_a_repetition_is_a_finding(method: str) -> None:
    result = examined(generated(**{method: [*SHOWN["spawn"], command(method)]}))
    assert keys(result) == [f"no-effect:generate {method}"]


def test_a_repetition_that_fails_is_a_finding() -> None:
    failed = command("spawn", "python3", "jevents.py", exit_status=1)
    result = examined(generated(spawn=[*SHOWN["spawn"], failed]))
    assert keys(result) == ["fails:spawn"]
    assert result.findings[0].evidence == "python3 jevents.py"


def test_other_bytes_under_one_method_are_a_finding() -> None:
    other = file(f"{GENERATED}/spawn/pmu-events.c", "other")
    result = examined(generated([*OUTPUTS[:-1], other]))
    assert [(one.key, one.actual) for one in result.findings] == [("differs:spawn/pmu-events.c", "other bytes")]


def test_a_file_that_one_method_did_not_make_is_a_finding() -> None:
    result = examined(generated(OUTPUTS[1:]))
    assert [(one.key, one.actual) for one in result.findings] == [("differs:serial/pmu-events.c", "it was not made")]


def test_a_file_that_the_build_did_not_make_is_a_finding() -> None:
    more = [file(f"{GENERATED}/{method}/new.c") for method in START_METHODS]
    assert keys(examined(generated([*OUTPUTS, *more]))) == [
        f"differs:{where}/new.c" for where in ("regenerate", *START_METHODS)
    ]


def test_other_bytes_of_make_under_the_method_are_a_finding() -> None:
    other = [file(f"{PERF}/pmu-events/pmu-events.c", "other")]
    result = examined(generated(), "spawn", again=[*SHOWN["spawn"], *other])
    assert [(one.key, one.actual) for one in result.findings] == [("differs:regenerate/pmu-events.c", "other bytes")]


def test_a_repetition_that_made_nothing_proves_nothing() -> None:
    assert examined(generated([])).verdict is Verdict.FAIL


def test_a_generator_that_was_never_repeated_proves_nothing() -> None:
    assert examined([]).verdict is Verdict.FAIL


def test_a_generator_without_a_pool_is_skipped() -> None:
    result = examined(generated(), generator_has_pool=False)
    assert (result.verdict, result.reason) == (Verdict.SKIP, "this tree's generator has no process pool")


def test_a_build_without_a_forced_method_is_skipped() -> None:
    assert judge.check_result(registry()["start-method"], observations(), []).verdict is Verdict.SKIP


@pytest.mark.parametrize("name", ["regenerate", "generate"])
def test_a_step_that_fails_is_a_finding(name: str) -> None:
    assert keys(examined(generated(), errors={name: "the container ended"})) == [f"step-failed:{name}"]
