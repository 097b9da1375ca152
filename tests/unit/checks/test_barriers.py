from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from matrix.checks import registry
from matrix.model.result import CheckResult, Verdict
from matrix.scenario.make_database import Database, Rule
from matrix.verdicts import judge
from tests.unit.conftest import EPOCH, PERF, build, cell, command, file, known, observations, process, tree

if TYPE_CHECKING:
    from matrix.scenario.observations import Observations

RULES = {
    "prepare": Rule(needs=("headers", f"{PERF}/libapi/libapi.a"), phony=True),
    "headers": Rule(),
    f"{PERF}/libapi/libapi.a": Rule(recipe=True),
}


def seen(*, rules: dict[str, Rule] | None = None, folder: str = PERF, after_s: float = 2.0, traced: bool = True,
         planted: bool = False, scale: float = 1.0, **more: Any) -> Observations:  # fmt: skip
    """Return a build of ten CPU seconds, times `scale`, one job of eight and one of `after_s` that needs the first."""
    of = cell(on=tree(barriers=more.pop("barriers", {"prepare": ()})), what=build(out_of_tree=more.pop("out", False)))
    database = Database(variables={"CURDIR": folder}, rules=RULES if rules is None else rules)
    first = process(1, "gcc", "-c", "-o", "a.o", parent=0, start=EPOCH, end=EPOCH + 8, cpu_ns=int(8e9 * scale))
    words = ["gcc", "-o", "b", "a.o"] if after_s else ["gcc", "-o", "b", "b.c"]
    ran = [
        process(0, "make", start=EPOCH, end=EPOCH + 10, stdouts=[""]),
        first,
        process(2, *words, parent=0, start=EPOCH + 8, end=EPOCH + 10, cpu_ns=int(2e9 * scale)),
        command(traced=traced),
        file(f"{PERF}/a.o", at=EPOCH + 8),
        file(f"{PERF}/b", at=EPOCH + 10),
    ]
    found = observations(of, {"build": ran, "database": [command(traced=False)]}, databases=(database,), **more)
    if planted:
        facts = found.steps["build"]
        found.steps["build"] = replace(facts, step=facts.step.model_copy(update={"touch": ("/src/a",)}))
    return found


def judged(observed: Observations) -> CheckResult:
    return judge.check_result(registry()["barriers"], observed, [])


def keys(result: CheckResult) -> list[str]:
    return [finding.key for finding in result.findings]


def needing(target: str) -> dict[str, Rule]:
    return {**RULES, "prepare": Rule(needs=("headers", target)), target: Rule(recipe=True)}


def test_what_a_barrier_waits_for_is_counted() -> None:
    result = judged(seen())
    assert (result.verdict, result.examined) == (Verdict.PASS, 2)
    assert result.figures == {
        "prepare waits for, and may for anything": 2,
        "serial_s": 10.0,
        "span": "100.0% of the work",
    }
    assert judged(seen(barriers={"prepare": ("x",)})).figures["prepare waits for"] == 2


@pytest.mark.parametrize("target", ["pmu-events/pmu-events-in.o", f"{PERF}/pmu-events/pmu-events-in.o"])
def test_a_barrier_that_waits_for_what_it_must_not_is_a_finding(target: str) -> None:
    result = judged(seen(rules=needing(target), barriers={"prepare": ("pmu-events/*",)}))
    assert (result.verdict, keys(result)) == (Verdict.FAIL, ["waits:prepare: pmu-events/pmu-events-in.o"])


def test_with_an_output_folder_targets_are_named_inside_of_it() -> None:
    result = judged(seen(rules=needing("/out/libsymbol/libsymbol.a"), barriers={"prepare": ("libsymbol/*",)}, out=True))
    assert keys(result) == ["waits:prepare: libsymbol/libsymbol.a"]


def test_a_barrier_that_waits_for_more_than_in_the_base_is_a_finding() -> None:
    more = needing("libsymbol/libsymbol.a")
    assert keys(judged(seen(rules=more, base=seen()))) == ["waits-newly:prepare: libsymbol/libsymbol.a"]
    assert keys(judged(seen(base=seen(rules=more)))) == ["waits-newly:prepare: libapi/libapi.a"]
    assert judged(seen(base=seen())).verdict == Verdict.PASS
    assert judged(seen(base=seen(rules={}))).verdict == Verdict.PASS


def test_a_build_whose_span_is_clearly_longer_than_the_bases_is_a_finding() -> None:
    longer = judged(seen(base=seen(after_s=0)))
    assert keys(longer) == ["longer-span:build"]
    assert (longer.figures["span"], longer.figures["base span"]) == ("100.0% of the work", "80.0% of the work")
    assert judged(seen(after_s=0, base=seen())).verdict == Verdict.PASS
    assert judged(seen(base=seen())).verdict == Verdict.PASS


def test_a_build_of_a_second_is_too_short_to_tell_spans_apart() -> None:
    assert judged(seen(scale=0.1, base=seen(scale=0.1, after_s=0))).verdict == Verdict.PASS
    assert judged(seen(scale=0.3, base=seen(scale=0.3, after_s=0))).verdict == Verdict.FAIL


def test_where_processes_cannot_be_followed_the_declared_part_is_judged_all_the_same() -> None:
    result = judged(seen(traced=False, rules=needing("a"), barriers={"prepare": ("a",)}))
    assert (keys(result), result.figures) == (["waits:prepare: a"], {"prepare waits for": 2})


@pytest.mark.parametrize(
    "base",
    [
        seen(traced=False, after_s=0),
        seen(planted=True, after_s=0),
        seen(errors={"build": "the container ended"}, after_s=0),
        seen(omit=["build"], after_s=0),
    ],
)
def test_a_base_whose_build_is_not_known_whole_is_no_measure_of_the_span(base: Observations) -> None:
    result = judged(seen(base=base))
    assert (result.verdict, "base span" in result.figures) == (Verdict.PASS, False)


def test_a_build_without_a_make_or_without_work_has_no_span() -> None:
    bare = {"build": [process(0, "sh")], "database": [command(traced=False)]}
    database = Database(variables={"CURDIR": PERF}, rules=RULES)
    assert "span" not in judged(observations(cell(), bare, databases=(database,))).figures
    idle = {**bare, "build": [process(0, "make")]}
    assert judged(observations(cell(), idle, databases=(database,))).figures["span"] == "0.0% of the work"


@pytest.mark.parametrize("found", [seen(rules={}), seen(folder="/src/tools/lib/api")])
def test_where_no_make_has_a_barrier_nothing_was_shown(found: Observations) -> None:
    result = judged(found)
    assert (result.verdict, result.reason) == (Verdict.FAIL, "the check examined nothing, which proves nothing")


def test_a_listed_wait_is_a_known_failure() -> None:
    found = seen(rules=needing("a"), barriers={"prepare": ("a",)})
    assert (
        judge.check_result(registry()["barriers"], found, [known("barriers", "waits:prepare: a")]).verdict
        == Verdict.XFAIL
    )
