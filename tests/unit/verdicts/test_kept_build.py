from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.model.result import CheckResult, Finding, Verdict
from matrix.verdicts import kept_build
from tests.unit.conftest import EPOCH, PERF, Record, file, mention, process, result, step

if TYPE_CHECKING:
    from matrix.scenario.step_facts import StepFacts


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
    assert kept_build.may_continue(changed) is may


def test_what_differs_is_what_the_tree_below_does_not_have_alike() -> None:
    below = {"a": [0o644, "1"], "b": [0o644, "1"], "c": [0o644, "1"], "gone": [0o644, "1"]}
    index = {"new": [0o644, "1"], "c": [0o755, "1"], "b": [0o644, "2"], "a": [0o644, "1"]}
    assert kept_build.differing(below, index) == ("b", "c", "new")


def found(kind: str) -> tuple[Finding, ...]:
    return (Finding(kind=kind, subject="a.o", expected="", actual="", known="so it is"),)


@pytest.mark.parametrize(
    ("verdict", "findings", "ground"),
    [
        (Verdict.PASS, (), True),
        (Verdict.XFAIL, found("rebuilt"), True),
        (Verdict.XFAIL, found("stale"), True),
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
    assert kept_build.may_be_kept_for_others(result(checks=(build, touch))) is ground
    assert not kept_build.may_be_kept_for_others(result(checks=(build,)))
    assert not kept_build.may_be_kept_for_others(None)


def compiles(number: int, source: str, at: float) -> list[Record]:
    """Return the processes that compile a source into the object beside it."""
    made = f"{source.removesuffix('.c')}.o"
    gcc = process(number, "gcc", "-c", "-o", made, source, start=at)
    return [gcc, process(number + 1, "cc1", "-quiet", source, "-o", "x.s", parent=number, start=at)]


LINKS = ("ar rcs libutil.a util/evsel.o util/pmus.o", "gcc -o perf perf.o libutil.a", "gcc -o jvmti.so jvmti.o")
MADE = ("util/evsel.o", "util/pmus.o", "perf.o", "jvmti.o", "libutil.a", "perf", "jvmti.so")


def built(*compiled: str, made: tuple[str, ...] = MADE, named: str = "util/evsel.c", above: bool = True) -> StepFacts:
    """Return a build that compiled sources and made files, after what BELOW did if it is one `above` that.

    What it did not make lies there as BELOW left it. The command file of util/evsel.o names `named`.
    """
    earlier = BELOW_RAN if above else []
    later = [one for number, path in enumerate(compiled) for one in compiles(len(earlier) + 2 * number, path, EPOCH)]
    files = [file(f"{PERF}/{path}", at=EPOCH + (2 if path in made and above else 0)) for path in MADE]
    said = [mention(f"{PERF}/util/.evsel.o.cmd", named)] if named else []
    return step("build", *earlier, *later, *files, *said).facts()


EVSEL, PMUS, JVMTI = (f"{PERF}/{path}.c" for path in ("util/evsel", "util/pmus", "jvmti"))
COMPILED = ("util/evsel.c", "util/pmus.c", "perf.c", "jvmti.c")
OF_EVSEL = ("util/evsel.o", "libutil.a", "perf")
BELOW_RAN = [one for number, path in enumerate(COMPILED) for one in compiles(2 * number, path, EPOCH)]
BELOW_RAN += [process(len(BELOW_RAN) + number, *line.split()) for number, line in enumerate(LINKS)]
BELOW_RAN.append(process(len(BELOW_RAN), "sed", "-e", "x", "tests/script.c"))
BELOW = step("build", *BELOW_RAN, *(file(f"{PERF}/{path}") for path in MADE)).facts()


@pytest.mark.parametrize(
    ("sources", "after", "missed"),
    [
        ([EVSEL], built("util/evsel.c", made=OF_EVSEL), ""),
        ([EVSEL], built("util/pmus.c"), f"{EVSEL} was not compiled"),
        ([EVSEL], built(), f"{EVSEL} was not compiled"),
        (
            [EVSEL],
            built("util/evsel.c", made=("perf", "libutil.a")),
            f"{PERF}/util/evsel.o was not made anew of {EVSEL}",
        ),
        (
            [EVSEL],
            built("util/evsel.c", made=("util/evsel.o", "perf")),
            f"{PERF}/libutil.a was not made anew of {EVSEL}",
        ),
        (
            [EVSEL],
            built("util/evsel.c", made=("util/evsel.o", "libutil.a")),
            f"{PERF}/perf was not made anew of {EVSEL}",
        ),
        ([EVSEL, PMUS], built("util/evsel.c", made=OF_EVSEL), f"{PMUS} was not compiled"),
        (
            [EVSEL, JVMTI],
            built("util/evsel.c", "jvmti.c", made=(*OF_EVSEL, "jvmti.o")),
            f"{PERF}/jvmti.so was not made anew of {JVMTI}",
        ),
        ([JVMTI], built("jvmti.c", made=("jvmti.o", "jvmti.so")), f"{PERF}/perf was not linked"),
    ],
)
def test_what_goes_on_must_make_anew_all_that_was_made_of_what_changed(
    sources: list[str], after: StepFacts, missed: str
) -> None:
    assert kept_build.missed_work(BELOW, after, sources, PERF) == missed


def test_a_source_that_is_included_by_another_must_have_it_compiled() -> None:
    included = f"{PERF}/util/included.c"
    whole = built("util/evsel.c", made=OF_EVSEL, named="util/included.c")
    assert kept_build.missed_work(BELOW, whole, [included], PERF) == ""
    stale = built("util/evsel.c", made=("perf", "libutil.a"), named="util/included.c")
    assert (
        kept_build.missed_work(BELOW, stale, [included], PERF) == f"{PERF}/util/evsel.o was not made anew of {included}"
    )


def test_what_this_configuration_does_not_compile_is_not_missed_unless_something_reads_it() -> None:
    nothing = built(made=())
    assert kept_build.missed_work(BELOW, nothing, [f"{PERF}/builtin-trace.c"], PERF) == ""
    read = f"{PERF}/tests/script.c"
    assert kept_build.missed_work(BELOW, nothing, [read], PERF) == f"{read} is read by sed -e x tests/script.c"


def test_no_clock_tells_what_was_compiled_again() -> None:
    assert kept_build.missed_work(BELOW, built(made=OF_EVSEL), [EVSEL], PERF) == f"{EVSEL} was not compiled"


CODE = '#include <a.h>\n#define A 1 /* one */\nint a; // #include "not.h"\nconst char *s = "/*";\n#if A\n#endif\n'


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("int a;", "int b;", True),
        ("/* one */", "/* two\n#include <no.h> */", True),
        ('"/*";', '"#";', True),
        ("#if A", "#  if   A", False),
        ("#if A", "#if  A", True),
        ("<a.h>", "<b.h>", False),
        ("int a;", "int a;\n#include <b.h>\n", False),
        ("int a;", "int a;\n  %: include <b.h>\n", False),
        ("int a; // ", "int a;\n ", False),
        ("int a;", "int a; /*", False),
        ("#define A 1", "#define A \\\n 2", False),
        ("#define A 1", "#define A \\\n1", True),
        ("int a;", 'asm(".incbin \\"x\\"");', False),
        ("#endif", "", False),
    ],
)
def test_a_source_reads_the_same_where_its_directives_are_the_same(old: str, new: str, *, same: bool) -> None:
    assert old in CODE
    assert kept_build.reads_the_same(CODE, CODE.replace(old, new)) is same


def test_cells_are_alike_where_every_check_has_the_same_findings() -> None:
    one = result(checks=(CheckResult(check="clean", verdict=Verdict.XFAIL, findings=found("left")),))
    assert kept_build.are_judged_alike(one, one.model_copy(update={"id": "x", "wall_s": 2.0}))
    assert not kept_build.are_judged_alike(one, result(checks=(CheckResult(check="clean", verdict=Verdict.PASS),)))
    assert not kept_build.are_judged_alike(one, result())
    cut = (CheckResult(check="clean", verdict=Verdict.FAIL, findings=found("too-many-findings")),)
    assert not kept_build.are_judged_alike(result(checks=cut), result(checks=cut))
