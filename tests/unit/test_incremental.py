from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix import incremental
from matrix.result import CheckResult, Finding, Verdict
from tests.unit.conftest import EPOCH, PERF, file, mention, process, result, step

if TYPE_CHECKING:
    from matrix.observe import StepFacts

SOURCE, OBJECT = f"{PERF}/util/evsel.c", f"{PERF}/util/evsel.o"
PROGRAM = f"{PERF}/perf"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tools/perf/builtin-stat.c", True),
        ("tools/perf/arch/x86/util/pmu.c", True),
        ("tools/perf/util/evsel.h", False),
        ("tools/perf/Makefile.perf", False),
        ("tools/perf/pmu-events/empty-pmu-events.c", False),
        ("tools/perf/util/bpf_skel/off_cpu.bpf.c", False),
        ("tools/perf/util/bpf_skel/vmlinux/vmlinux.c", False),
        ("tools/perf/examples/x.bpf.c", False),
        ("tools/perf/tests/shell/coresight/x.c", False),
        ("tools/build/feature/test-bpf.c", False),
        ("tools/lib/bpf/libbpf.c", False),
        ("kernel/fork.c", False),
    ],
)
def test_a_source_is_what_a_compiler_of_perf_alone_reads(path: str, *, source: bool) -> None:
    assert incremental.is_source(path) is source


@pytest.mark.parametrize(
    ("changed", "may"),
    [
        ({"tools/perf/a.c": "M"}, True),
        ({"tools/perf/a.c": "M", "tools/perf/util/b.c": "M"}, True),
        ({"tools/perf/a.c": "M", "tools/perf/util/b.h": "M"}, False),
        ({"tools/perf/a.c": "A"}, False),
        ({"tools/perf/a.c": "D"}, False),
        ({"tools/perf/a.c": "T"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_build_may_go_on_where_sources_alone_changed(changed: dict[str, str], *, may: bool) -> None:
    assert incremental.may_go_on(changed) is may


def test_what_differs_is_what_the_tree_below_does_not_have_alike() -> None:
    below = {"a": [0o644, "1"], "b": [0o644, "1"], "c": [0o644, "1"], "gone": [0o644, "1"]}
    index = {"new": [0o644, "1"], "c": [0o755, "1"], "b": [0o644, "2"], "a": [0o644, "1"]}
    assert incremental.differing(below, index) == ("b", "c", "new")


def found(kind: str) -> tuple[Finding, ...]:
    return (Finding(kind=kind, subject="a.o", expected="", actual="", known="so it is"),)


@pytest.mark.parametrize(
    ("verdict", "findings", "ground"),
    [
        (Verdict.PASS, (), True),
        (Verdict.XFAIL, found("rebuilt"), True),
        (Verdict.XFAIL, found("stale"), False),
        (Verdict.FAIL, found("rebuilt"), False),
        (Verdict.SKIP, (), False),
    ],
)
def test_a_build_goes_on_only_with_one_whose_touch_passed(
    verdict: Verdict, findings: tuple[Finding, ...], *, ground: bool
) -> None:
    build, touch = (
        CheckResult(check="build", verdict=Verdict.PASS),
        CheckResult(check="touch", verdict=verdict, findings=findings),
    )
    assert incremental.is_ground(result(checks=(build, touch))) is ground
    assert not incremental.is_ground(result(checks=(build,)))
    assert not incremental.is_ground(None)


def built(*compiled: str, before: tuple[str, ...] = (), program: float | None = EPOCH + 2, at: float = EPOCH + 2,
          named: bool = True) -> StepFacts:  # fmt: skip
    """Return a build that made an object and the program, and compiled files after it began, and `before` it began."""
    earlier = [process(number, "cc1", "-quiet", path, start=EPOCH - 1) for number, path in enumerate(before)]
    later = [process(number, "cc1", path, start=EPOCH + 1) for number, path in enumerate(compiled, len(before))]
    files = [file(OBJECT, at=at), *([] if program is None else [file(PROGRAM, at=program)])]
    said = [mention(f"{PERF}/util/.evsel.o.cmd", "util/evsel.c")] if named else []
    return step("build", *earlier, *later, *files, *said).facts()


BELOW = built("util/evsel.c", "util/evsel.c", program=EPOCH, at=EPOCH)
TWICE = ("util/evsel.c", "util/evsel.c")


@pytest.mark.parametrize(
    ("after", "missed"),
    [
        (built(*TWICE), ""),
        (built("util/evsel.c"), f"{SOURCE} was not compiled"),
        (built("util/pmus.c", before=TWICE), f"{SOURCE} was not compiled"),
        (built(), f"{SOURCE} was not compiled"),
        (built(*TWICE, at=EPOCH), f"{OBJECT} was not made of {SOURCE}"),
        (built(*TWICE, named=False, at=EPOCH), ""),
        (built(*TWICE, program=EPOCH), f"{PROGRAM} was not linked"),
        (built(*TWICE, named=False, program=EPOCH), f"{PROGRAM} was not linked"),
        (built(*TWICE, program=None), f"{PROGRAM} was not linked"),
    ],
)
def test_what_goes_on_must_compile_what_changed_and_link_the_program(after: StepFacts, missed: str) -> None:
    assert incremental.missed(BELOW, after, [SOURCE], PERF) == missed


def test_a_source_that_is_included_by_another_must_have_it_compiled() -> None:
    below = built("perf.c", at=EPOCH)
    assert incremental.missed(below, built("perf.c"), [SOURCE], PERF) == f"{PROGRAM} was not linked"
    assert incremental.missed(below, built("perf.c", program=EPOCH + 3), [SOURCE], PERF) == ""
    assert incremental.missed(below, built(at=EPOCH), [SOURCE], PERF) == f"{OBJECT} was not made of {SOURCE}"


def test_what_this_configuration_does_not_compile_is_not_missed() -> None:
    assert incremental.missed(BELOW, built(program=EPOCH, at=EPOCH), [f"{PERF}/builtin-trace.c"], PERF) == ""


def test_a_program_that_was_not_there_before_is_linked() -> None:
    assert incremental.missed(built(program=None, at=EPOCH), built("util/evsel.c"), [SOURCE], PERF) == ""
