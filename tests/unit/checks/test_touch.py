from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from matrix.checks import registry
from matrix.model.result import Verdict
from matrix.trace.products import object_of
from matrix.verdicts import judge
from tests.unit.conftest import EPOCH, PERF, Record, build, cell, command, file, mention, observations, process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.model.result import CheckResult

BUILD = [
    process(0, "gcc", "-c", "-o", "util/evsel.o", "util/evsel.c"),
    process(1, "ld", "-r", "-o", "util/in.o", "util/evsel.o", "util/pmus.o"),
    process(2, "gcc", "-o", "perf", "util/in.o"),
    process(3, "gcc", "-o", "other", "other.o"),
]
NAMES = ("util/evsel.o", "util/.evsel.o.cmd", "util/pmus.o", "util/in.o", "perf", "other")
MENTIONS = {
    "touch-source": [mention(f"{PERF}/util/.evsel.o.cmd", "util/evsel.c")],
    "touch-header": [
        mention(f"{PERF}/util/.evsel.o.cmd", "util/pmus.h"),
        mention(f"{PERF}/util/.pmus.o.cmd", "pmus.h", "/elsewhere/pmus.h"),
        mention(f"{PERF}/util/.none.o.cmd", "arch/pmus.h"),
    ],
}
MADE = {
    "touch-source": ("util/evsel.o", "util/.evsel.o.cmd", "util/in.o", "perf"),
    "touch-header": ("util/evsel.o", "util/.evsel.o.cmd", "util/pmus.o", "util/in.o", "perf"),
}


def files(top: str, at: dict[str, float]) -> list[Record]:
    return [file(f"{top}/{name}", name, at=at.get(name, EPOCH)) for name in NAMES]


def examined(top: str = PERF, made: Mapping[str, tuple[str, ...]] | None = None,
             restless: tuple[str, ...] = (), **more: Any) -> CheckResult:  # fmt: skip
    """Examine a cell in which each touch step made MADE again, or what `made` says."""
    at: dict[str, float] = {}
    steps: dict[str, list[Record]] = {"build": [*BUILD, *files(top, at)], "self-test": files(top, at)}
    for number, step in enumerate(("rebuild", "touch-source", "touch-header"), 1):
        again = restless if step == "rebuild" else {**MADE, **(made or {})}[step]
        at |= dict.fromkeys(again, EPOCH + number)
        steps[step] = [*more.pop(step.replace("-", "_"), MENTIONS.get(step, [])), *files(top, at)]
    of = cell(what=build(out_of_tree=top == "/out"))
    return judge.check_result(registry()["touch"], observations(of, steps, **more), [])


def keys(result: CheckResult) -> list[str]:
    return [finding.key for finding in result.findings]


def test_all_that_is_made_from_the_touched_file_and_nothing_else_passes() -> None:
    result = examined()
    assert (result.verdict, result.findings) == (Verdict.PASS, ())
    assert result.figures == {"touch-source: objects": 1, "touch-header: objects": 2}
    assert result.examined == 3


@pytest.mark.parametrize("touch", [(), ("util/evsel.c", "util/pmus.h")])
def test_a_transcript_whose_step_touches_none_or_several_files_is_no_pass(touch: tuple[str, ...]) -> None:
    found = observations(cell(), {"build": BUILD, **{name: [] for name in ("rebuild", "touch-source", "touch-header")}})
    step = found.steps["touch-source"]
    damaged = dataclasses.replace(step, step=step.step.model_copy(update={"touch": touch}))
    steps = {**found.steps, "touch-source": damaged}
    result = judge.check_result(registry()["touch"], dataclasses.replace(found, steps=steps), [])
    assert result.verdict is Verdict.FAIL
    assert "no-dependents:touch-source" in keys(result)


def test_an_object_that_is_not_made_again_is_a_finding() -> None:
    made = {"touch-header": ("util/evsel.o", "util/in.o", "perf")}
    assert keys(examined(made=made)) == [f"stale:{PERF}/util/pmus.o"]


def test_a_program_that_is_not_linked_again_is_a_finding() -> None:
    result = examined(made={"touch-source": ("util/evsel.o", "util/in.o")})
    assert keys(result) == [f"stale:{PERF}/perf"]


def test_a_product_between_the_object_and_the_program_that_is_not_made_again_is_a_finding() -> None:
    result = examined(made={"touch-source": ("util/evsel.o", "perf")})
    assert keys(result) == [f"stale:{PERF}/util/in.o"]


def test_only_what_programs_say_themselves_must_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = process(4, "sh", "-c", "printf 'x/%s ' util/evsel.o | xargs ld -o other")
    monkeypatch.setattr(f"{__name__}.BUILD", [*BUILD, shell])
    assert examined().verdict is Verdict.PASS
    linked = process(4, "ld", "-o", "other", "util/evsel.o")
    monkeypatch.setattr(f"{__name__}.BUILD", [*BUILD, linked])
    assert keys(examined()) == [f"stale:{PERF}/other", f"stale:{PERF}/other"]


def test_what_is_made_again_without_being_made_from_it_is_a_finding() -> None:
    result = examined(made={"touch-source": (*MADE["touch-source"], "other")})
    assert keys(result) == [f"rebuilt:{PERF}/other"]
    assert result.findings[0].actual == "written again with equal content"


def test_what_was_made_again_has_its_maker_as_evidence() -> None:
    linked = process(0, "ld", "-o", "other", start=EPOCH, end=None)
    result = examined(
        made={"touch-source": (*MADE["touch-source"], "other")}, touch_source=[linked, *MENTIONS["touch-source"]]
    )
    assert result.findings[0].evidence == "made by: ld -o other"


def test_what_every_make_writes_is_the_no_op_checks_affair() -> None:
    result = examined(
        made={"touch-source": (*MADE["touch-source"], "other"), "touch-header": (*MADE["touch-header"], "other")},
        restless=("other",),
    )
    assert result.verdict is Verdict.PASS


def test_a_touched_file_that_no_object_depends_on_is_a_finding() -> None:
    result = examined(touch_source=[mention(f"{PERF}/util/.evsel.o.cmd", "arch/evsel.c")])
    assert keys(result)[0] == "no-dependents:/src/tools/perf/util/evsel.c"
    assert result.verdict is Verdict.FAIL


def test_a_command_file_of_an_object_that_is_not_there_makes_no_dependent() -> None:
    gone = [*MENTIONS["touch-source"], mention(f"{PERF}/util/.old.o.cmd", "util/evsel.c")]
    assert examined(touch_source=gone).verdict is Verdict.PASS


def test_without_any_dependent_the_check_still_says_so() -> None:
    result = examined(touch_source=[], touch_header=[])
    assert result.verdict is Verdict.FAIL
    assert [key.partition(":")[0] for key in keys(result)].count("no-dependents") == 2


@pytest.mark.parametrize("word", ["/src/tools/perf/util/evsel.c", "util/evsel.c"])
def test_an_out_of_tree_build_is_judged_by_its_own_folder(word: str) -> None:
    out = [process(one[1], *(w.replace("util/", "/out/util/") for w in one[2]["argvs"][0])) for one in BUILD]
    assert out
    mentions: dict[str, Any] = {
        "touch_source": [mention("/out/util/.evsel.o.cmd", word)],
        "touch_header": [mention("/out/util/.pmus.o.cmd", "../../src/tools/perf/util/pmus.h")],
    }
    result = examined("/out", **mentions)
    assert f"stale:{PERF}/perf" not in keys(result)
    assert not any(key.startswith("no-dependents:/src/tools/perf/util/evsel.c") for key in keys(result))


def test_the_object_of_a_command_file_is_beside_it() -> None:
    assert object_of("/src/util/.evsel.o.cmd") == "/src/util/evsel.o"


@pytest.mark.parametrize("step", ["touch-source", "touch-header"])
def test_a_step_of_its_own_that_fails_is_a_finding(step: str) -> None:
    assert keys(examined(errors={step: "the container ended"})) == [f"step-failed:{step}"]


@pytest.mark.parametrize("step", ["build", "rebuild"])
def test_without_the_steps_before_the_check_is_skipped(step: str) -> None:
    seen = observations(steps={step: [command(exit_status=2)]})
    assert judge.check_result(registry()["touch"], seen, []).verdict is Verdict.SKIP
