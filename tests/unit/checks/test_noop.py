from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrix.checks import registry
from matrix.model.result import Verdict
from matrix.verdicts import judge
from tests.unit.conftest import EPOCH, PERF, Record, build, cell, command, file, observations, process

if TYPE_CHECKING:
    from matrix.model.result import CheckResult

BUILT = file(f"{PERF}/perf", "1")


def examined(rebuild: list[Record], before: list[Record] | None = None, **more: Any) -> CheckResult:
    built = [BUILT] if before is None else before
    steps = {"build": built, "self-test": built, "rebuild": rebuild}
    return judge.check_result(registry()["no-op"], observations(steps=steps, **more), [])


def keys(result: CheckResult) -> list[str]:
    return [finding.key for finding in result.findings]


def test_a_make_that_changes_nothing_and_runs_no_work_passes() -> None:
    result = examined([process(0, "make"), process(1, "sh", "-c", "true"), process(2, parent=1), BUILT])
    assert (result.verdict, result.examined) == (Verdict.PASS, 1)
    assert result.figures["processes"] == 3
    assert result.figures["programs"] == "make 1, sh 1, (fork) 1"
    assert result.figures["wall_s"] == 1.5


def test_a_preprocessor_query_is_counted_and_no_finding() -> None:
    result = examined([process(0, "cc1", "-E", "-"), process(1, "make", "-E"), process(2), BUILT])
    assert (result.verdict, result.figures["preprocessor queries"]) == (Verdict.PASS, 1)


def test_a_make_that_is_told_to_install_installs_each_time() -> None:
    again = [process(0, "make"), process(1, "install", "perf", "/d/perf"), process(2, "cc1", "a.c"), BUILT]
    header = process(3, "install", "a.h", f"{PERF}/libbpf/include/a.h")
    assert keys(examined(again, of=cell(what=build(goals=("install-bin",))))) == [f"ran-compiler:{PERF}/a.c"]
    assert keys(examined([*again, header], of=cell(what=build(goals=("install",)))))[1:] == [
        f"ran-install:{PERF}/libbpf/include/a.h"
    ]
    assert keys(examined(again, of=cell(what=build(goals=("perf",)))))[1:] == ["ran-install:/d/perf"]


def test_a_file_that_changes_is_a_finding_with_its_maker() -> None:
    written = file(f"{PERF}/perf", "2", at=EPOCH)
    result = examined([process(0, "ld", "-o", "perf", end=None), written])
    assert keys(result) == [f"changed:{PERF}/perf", f"ran-linker:{PERF}/perf"]
    assert result.findings[0].actual == "content changed"
    assert result.findings[0].evidence == "made by: ld -o perf"


def test_a_file_that_is_written_again_with_equal_content_is_a_finding() -> None:
    assert keys(examined([file(f"{PERF}/perf", "1", at=EPOCH + 9)])) == [f"changed:{PERF}/perf"]


def test_a_new_and_a_removed_file_are_findings() -> None:
    result = examined([file(f"{PERF}/new")])
    assert [(finding.key, finding.actual) for finding in result.findings] == [
        (f"changed:{PERF}/new", "created"),
        (f"changed:{PERF}/perf", "removed"),
    ]


def test_a_file_of_the_tree_that_is_removed_is_one_finding() -> None:
    removed = file("/src/x.c", "", kind="whiteout")
    result = examined([BUILT, removed], missing={"rebuild": ("x.c",)}, lower={"/src/x.c": (0o644, "1")})
    assert [(finding.key, finding.actual) for finding in result.findings] == [("changed:/src/x.c", "removed")]


def test_a_file_of_the_tree_that_the_build_had_removed_already_is_none() -> None:
    removed = file("/src/x.c", "", kind="whiteout")
    missing = {"build": ("x.c",), "rebuild": ("x.c",)}
    assert examined([BUILT, removed], [BUILT, removed], missing=missing).verdict is Verdict.PASS


def test_each_kind_of_work_is_a_finding_per_target() -> None:
    result = examined(
        [
            process(0, "cc1", "a.c"),
            process(1, "cc1", "a.c"),
            process(2, "ar", "rcs", "lib.a"),
            process(3, "python3", "gen.py", "x"),
            process(4, "install", "a", "b"),
            BUILT,
        ]
    )
    assert keys(result) == [
        f"ran-compiler:{PERF}/a.c",
        f"ran-generator:{PERF}/gen.py",
        f"ran-install:{PERF}/b",
        f"ran-linker:{PERF}/lib.a",
    ]
    assert [finding.actual for finding in result.findings] == ["2 runs", "1 run", "1 run", "1 run"]
    assert result.findings[1].evidence == "python3 gen.py x"


FEATURE = "/src/tools/build/feature/test-libbfd"


def test_a_feature_that_is_not_there_and_is_looked_for_again_is_one_finding() -> None:
    recipe = process(0, "sh", "-c", "gcc -o test-libbfd.bin test-libbfd.c > test-libbfd.make.output 2>&1", status=256)
    outputs = [file(f"{FEATURE}.make.output", "2"), file(f"{FEATURE}.d", "2")]
    tried = [recipe, process(1, "cc1", f"{FEATURE}.c", parent=0), BUILT, *outputs]
    result = examined(tried, [BUILT, file(f"{FEATURE}.make.output", "1"), file(f"{FEATURE}.d", "1")])
    assert (result.verdict, keys(result)) == (Verdict.FAIL, ["retried-feature:test-libbfd"])


def test_a_feature_that_is_there_and_is_looked_for_again_is_told_by_what_was_done() -> None:
    before = [BUILT, file(f"{FEATURE}.bin"), file(f"{FEATURE}.d", "1")]
    result = examined([process(0, "cc1", f"{FEATURE}.c"), *before[:2], file(f"{FEATURE}.d", "2")], before)
    assert keys(result) == [f"changed:{FEATURE}.d", f"ran-compiler:{FEATURE}.c"]


def test_a_detection_that_succeeded_and_is_not_kept_is_no_absent_feature() -> None:
    recipe = process(0, "sh", "-c", "{ clang -o - test-libbfd.c | grep x; } > test-libbfd.make.output 2>&1")
    result = examined([recipe, process(1, "clang", "-S", "-o", "-", f"{FEATURE}.c", parent=0, status=256), BUILT])
    assert keys(result) == [f"ran-compiler:{FEATURE}.c"]


def test_the_make_that_is_told_to_make_a_feature_test_is_none_of_its_tries() -> None:
    make = process(0, "sh", "-c", f"make {FEATURE}.bin >/dev/null 2>/dev/null && echo 1 || echo 0")
    tried = process(1, "cc1", f"{FEATURE}.c", parent=0, status=256)
    assert keys(examined([make, tried, BUILT])) == ["retried-feature:test-libbfd"]


def test_a_rebuild_without_a_file_proves_nothing() -> None:
    assert examined([], []).verdict is Verdict.FAIL


def test_a_rebuild_that_fails_is_a_finding() -> None:
    assert keys(examined([command(exit_status=2)])) == ["step-failed:rebuild"]


def test_without_a_build_the_check_is_skipped() -> None:
    seen = observations(errors={"build": "the container ended"})
    assert judge.check_result(registry()["no-op"], seen, []).verdict is Verdict.SKIP
