from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix.checks import build as build_check
from matrix.checks import registry
from matrix.model.build import Expect
from matrix.model.result import CheckResult, Verdict
from matrix.verdicts import judge
from tests.unit.conftest import EPOCH, PERF, Record, build, cell, command, elf, file, image, observations, process, tree

if TYPE_CHECKING:
    from matrix.model.cell import Cell

OPTIONS = "perf version 7.3\n                 aio: [ on  ]  # HAVE_AIO_SUPPORT\n              libbfd: [ OFF ]  # x\n"
FEATURES = "feature-libelf=1\nfeature-libbfd=0\nfeature-x-y.z=1\n"
TESTS = "  5: PMU JSON event tests                         :\n  5.1: PMU event table sanity      : Ok\n  7: Maps : Ok\n"


def self_test(options: str = OPTIONS, features: str = FEATURES, tested: str | None = None) -> list[Record]:
    ran = [
        command("options", "perf", "version", output=options, traced=False),
        command("features", "cat", "FEATURE-DUMP", output=features, traced=False),
    ]
    return ran if tested is None else [*ran, command("tests", "perf", "test", output=tested, traced=False)]


def examined(of: Cell | None = None, ran: list[Record] | None = None, made: list[Record] | None = None,
             **more: Any) -> CheckResult:  # fmt: skip
    of = of or cell(what=build(expect=Expect(bpf_skeletons=False)))
    program = f"{'/out' if of.build.out_of_tree else PERF}/perf"
    values = {"elf": elf(program, interpreter=True, dynamic=True), **more}
    left = made or []
    steps = {"build": left, "self-test": [*(self_test() if ran is None else ran), *left]}
    return judge.check_result(registry()["build"], observations(of, steps, **values), [])


def expecting(**more: Any) -> Cell:
    return cell(what=build(expect=Expect(**{"bpf_skeletons": False, **more})))


def keys(result: CheckResult) -> list[str]:
    return [finding.key for finding in result.findings]


def test_a_build_that_is_what_its_file_expects_passes() -> None:
    result = examined(expecting(options={"aio": "on", "libbfd": "OFF"}, features={"libelf": "1", "libbfd": "0"}))
    assert (result.verdict, result.findings) == (Verdict.PASS, ())
    assert result.examined == 4
    assert result.figures["options and features"] == 4


def test_what_is_on_and_not_in_the_builds_file_is_told() -> None:
    assert examined().figures["on, and not in the build's file"] == "aio"
    assert "on, and not in the build's file" not in examined(expecting(options={"aio": "on"})).figures


def test_an_option_that_is_not_as_expected_is_a_finding() -> None:
    result = examined(expecting(options={"aio": "OFF", "libbfd": "on", "nowhere": "on"}))
    assert keys(result) == ["option:aio", "option:libbfd", "option:nowhere"]
    assert [finding.actual for finding in result.findings] == ["on", "OFF", "not listed"]


def test_a_feature_that_is_not_as_expected_is_a_finding() -> None:
    assert keys(examined(expecting(features={"libelf": "0", "libbfd": "1", "gone": "1"}))) == [
        "feature:libelf",
        "feature:libbfd",
        "feature:gone",
    ]


def test_what_the_image_or_the_tree_is_known_to_lack_is_not_expected() -> None:
    of = cell(
        of=image(lacks={"libbfd": "no such library"}),
        on=tree(lacks={"nowhere": "came later"}),
        what=build(expect=Expect(options={"libbfd": "on", "nowhere": "on"}, bpf_skeletons=False)),
    )
    assert examined(of).verdict is Verdict.PASS


def test_an_option_that_is_said_to_be_lacking_and_is_there_is_a_finding() -> None:
    of = cell(
        of=image(lacks={"aio": "no such library"}),
        what=build(expect=Expect(options={"aio": "on"}, bpf_skeletons=False)),
    )
    assert keys(examined(of)) == ["not-lacking:aio"]


def test_a_feature_that_is_said_to_be_lacking_and_is_there_is_a_finding() -> None:
    of = cell(
        on=tree(lacks={"libelf": "came later"}),
        what=build(expect=Expect(features={"libelf": "1"}, bpf_skeletons=False)),
    )
    assert keys(examined(of)) == ["not-lacking:libelf"]


def test_a_program_that_does_not_run_is_a_finding() -> None:
    ran = [command("options", exit_status=127, output=""), command("features", output=FEATURES)]
    result = examined(ran=ran)
    assert keys(result) == ["runs:options"]
    assert result.findings[0].actual == "exit status 127"


def test_commands_that_were_not_run_are_findings() -> None:
    result = examined(ran=[command("other")])
    assert result.verdict is Verdict.FAIL
    assert keys(result) == ["runs:options", "runs:features"]


def test_a_program_that_says_nothing_proves_nothing() -> None:
    result = examined(ran=self_test(options="", features=""))
    assert result.verdict is Verdict.FAIL


def test_perfs_own_tests_that_pass_are_counted() -> None:
    of = cell(what=build(perf_tests=("PMU JSON", "Maps"), expect=Expect(bpf_skeletons=False)))
    result = examined(of, self_test(tested=TESTS))
    assert (result.verdict, result.figures["tests passed"]) == (Verdict.PASS, 2)


def test_a_perf_test_that_is_ended_by_a_signal_is_a_finding() -> None:
    ran = self_test(tested=TESTS)
    ran[-1][1]["exit_status"] = -11
    result = examined(expecting(), ran=ran)
    assert keys(result) == ["runs:tests"]
    assert result.findings[0].actual == "it was ended by signal 11"


def test_a_test_that_fails_is_a_finding() -> None:
    of = cell(what=build(perf_tests=("PMU JSON",), expect=Expect(bpf_skeletons=False)))
    failed = TESTS + "  5.2: Parsing of metrics : FAILED!\n"
    result = examined(of, self_test(tested=failed))
    assert keys(result) == ["test:Parsing of metrics"]
    assert result.findings[0].evidence == "perf test 5.2"


@pytest.mark.parametrize(
    "tested", ["  5: wanted too : Ok\n", "  6: A :\n  6.1: Wanted : Ok\n", "  5: Wanted :\n  5.1: a : Ok\n"]
)
def test_a_wanted_test_is_found_by_part_of_its_name_or_of_its_cases(tested: str) -> None:
    of = cell(what=build(perf_tests=("Wanted",), expect=Expect(bpf_skeletons=False)))
    assert examined(of, self_test(tested=tested)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "tested",
    ["", "  9: Other : Ok\n", "  5: Wanted : Skip\n", "  5: Wanted :\n  5.1: one : Skip\n"],
)
def test_a_wanted_test_that_did_not_pass_is_a_finding(tested: str) -> None:
    of = cell(what=build(perf_tests=("Wanted",), expect=Expect(bpf_skeletons=False)))
    result = examined(of, self_test(tested=tested))
    assert keys(result) == ["test:Wanted"]
    assert result.findings[0].actual == "no test of this name passed"


COMPILERS = (
    process(0, "/bin/sh", "-c", "gcc -c -o perf.o /src/tools/perf/perf.c"),
    process(1, "gcc", "-O0", "-DHAVE_A", "-c", "-o", "perf.o", "perf.c", parent=0),
    process(2, "/usr/libexec/cc1", "-quiet", "-O0", "-D", "HAVE_A", "perf.c", parent=1),
)


def test_the_flags_that_perf_is_compiled_with_are_those_that_the_build_says() -> None:
    build_step = [*COMPILERS, command("make", "make")]
    assert keys(examined(expecting(flags={"-O0": True, "-DHAVE_B": False}), made=build_step)) == []
    result = examined(expecting(flags={"-O3": True, "-DHAVE_A": False}), made=build_step)
    assert [(finding.key, finding.actual) for finding in result.findings] == [
        ("flag:-O3", "it is not there"),
        ("flag:-DHAVE_A", "it is there"),
    ]


def test_flags_of_a_compiler_that_was_not_seen_are_findings_and_are_unknown_without_processes() -> None:
    unseen = examined(expecting(flags={"-O3": False}), made=[*COMPILERS[:1], command("make", "make")])
    assert [(finding.key, finding.actual) for finding in unseen.findings] == [
        ("flag:-O3", "no compiler of perf.c was seen")
    ]
    untraced = examined(expecting(flags={"-O3": True}), made=[command("make", "make", traced=False)])
    assert keys(untraced) == []


def test_the_command_lines_of_a_build_have_what_the_build_says() -> None:
    build_step = [*COMPILERS, command("make", "make")]
    assert keys(examined(expecting(commands={"-o perf.o": True, "jevents.py": False}), made=build_step)) == []
    result = examined(expecting(commands={"-o perf.o": False, "jevents.py": True}), made=build_step)
    assert [(finding.key, finding.actual) for finding in result.findings] == [
        ("command:-o perf.o", "/bin/sh -c gcc -c -o perf.o /src/tools/perf/perf.c"),
        ("command:jevents.py", "none has it"),
    ]
    untraced = examined(expecting(commands={"a": True}), made=[command("make", "make", traced=False)])
    assert keys(untraced) == []


def without_program(*made: Record, **more: Any) -> CheckResult:
    of = cell(what=build(makes_program=False, goals=("perf.o",), expect=Expect(bpf_skeletons=None, **more)))
    return judge.check_result(registry()["build"], observations(of, {"build": made}), [])


def test_a_build_that_does_not_make_perf_is_what_its_file_says_though_nothing_is_run() -> None:
    made = (*COMPILERS, file(f"{PERF}/perf.o"), command("make", "make"))
    result = without_program(*made, commands={"-o perf.o": True}, flags={"-O0": True})
    assert (result.verdict, result.examined) == (Verdict.PASS, 1)
    assert keys(without_program(*made, commands={"-o util/map.o": True})) == ["command:-o util/map.o"]
    assert keys(without_program(command("make", "make", exit_status=2))) == ["step-failed:build"]


def test_a_cell_with_a_start_method_leaves_the_build_to_the_cell_without() -> None:
    of = cell(what=build("spawn", extends="default", start_method="spawn"))
    result = judge.check_result(registry()["build"], observations(of), [])
    assert (result.verdict, result.reason) == (Verdict.SKIP, "this build has no step self-test")


def test_nothing_is_expected_of_a_linkage_and_of_skeletons_that_no_file_says() -> None:
    skeleton = file(f"{PERF}/util/bpf_skel/.tmp/off_cpu.skel.h")
    assert keys(examined(expecting(linkage=None, bpf_skeletons=None), elf={}, made=[skeleton])) == []
    assert keys(examined(expecting(linkage=None, bpf_skeletons=None), elf={})) == []


def test_a_dynamic_program_needs_an_interpreter_and_a_dynamic_section() -> None:
    assert keys(examined(elf=elf(interpreter=False, dynamic=True))) == ["linkage:perf"]
    assert keys(examined(elf=elf())) == ["linkage:perf"]


def test_a_static_program_has_neither() -> None:
    static = expecting(linkage="static")
    assert examined(static, elf=elf()).verdict is Verdict.PASS
    result = examined(static)
    assert keys(result) == ["linkage:perf"]
    assert result.findings[0].actual == "an interpreter and a dynamic section"


@pytest.mark.parametrize("facts", [{}, elf(error="ELFError: Magic number does not match")])
def test_a_program_that_is_not_there_or_no_elf_file_is_a_finding(facts: Any) -> None:
    result = examined(elf=facts)
    assert keys(result) == ["linkage:perf"]
    assert result.findings[0].expected == "a dynamic program"


def test_the_program_is_looked_for_where_the_build_leaves_it() -> None:
    of = cell(what=build(out_of_tree=True, expect=Expect(bpf_skeletons=False)))
    assert examined(of).verdict is Verdict.PASS


def test_skeletons_are_expected_or_not() -> None:
    wanted = cell(what=build())
    skeleton = file(f"{PERF}/util/bpf_skel/.tmp/off_cpu.skel.h")
    bootstrap = file(f"{PERF}/util/bpf_skel/.tmp/bootstrap/profiler.skel.h")
    assert examined(wanted, made=[skeleton]).verdict is Verdict.PASS
    assert keys(examined(wanted)) == ["skeletons:*.skel.h"]
    assert keys(examined(wanted, made=[bootstrap])) == ["skeletons:*.skel.h"]
    assert keys(examined(made=[skeleton])) == ["skeletons:*.skel.h"]
    assert examined(made=[bootstrap]).verdict is Verdict.PASS


def test_a_process_that_outlives_make_is_a_finding() -> None:
    result = examined(made=[command(left_running=[["sleep", "1000"]])])
    assert keys(result) == ["left-running:sleep"]
    assert result.findings[0].actual == "sleep 1000"


def test_a_process_that_outlives_a_later_make_is_a_finding_of_the_first_that_it_outlives() -> None:
    left = [command(left_running=[["sleep", "1000"]])]
    seen = observations(None, {"rebuild": left, "clean": left})
    result = judge.check_result(registry()["build"], seen, [])
    [finding] = [one for one in result.findings if one.kind == "left-running"]
    assert finding.where == seen.steps["rebuild"].log


@pytest.mark.parametrize("step", ["build", "self-test"])
def test_a_step_of_its_own_that_fails_is_a_finding(step: str) -> None:
    seen = observations(errors={step: "the container ended"})
    result = judge.check_result(registry()["build"], seen, [])
    assert (result.verdict, keys(result)) == (Verdict.FAIL, [f"step-failed:{step}"])


def test_a_build_whose_program_was_not_run_is_skipped() -> None:
    assert judge.check_result(registry()["build"], observations(omit=["self-test"]), []).verdict is Verdict.SKIP


def test_the_terminals_last_lines_are_what_counts() -> None:
    coloured = "  5: Maps : \x1b[36mRunning (1 active)\x1b[0m\r  5: Maps                :\x1b[32m Ok\x1b[0m\n"
    assert build_check.tests(coloured) == [("5", "Maps", "Ok")]
    assert build_check.last_lines("a\rb\r\nc") == "b\r\nc"


def test_a_line_of_perf_test_tells_number_name_and_outcome() -> None:
    assert build_check.tests(" 10: A: b :\n 10.1: c : Skip (no x)\n 10.2: d : FAILED! (y)\nnoise\n") == [
        ("10", "A: b", ""),
        ("10.1", "c", "Skip"),
        ("10.2", "d", "FAILED!"),
    ]


def test_a_file_that_the_programs_tests_change_is_found() -> None:
    made = [file(f"{PERF}/perf"), file(f"{PERF}/stale.o", "old")]
    after = [file(f"{PERF}/perf"), file(f"{PERF}/stale.o", "new", at=EPOCH + 9), file(f"{PERF}/left")]
    ran = [*self_test(), *after]
    found = judge.check_result(registry()["build"], observations(steps={"build": made, "self-test": ran}), []).findings
    changed = {finding.subject: finding.actual for finding in found if finding.kind == "changed-by-tests"}
    assert changed == {f"{PERF}/left": "created", f"{PERF}/stale.o": "content changed"}
