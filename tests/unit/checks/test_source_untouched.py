from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrix.checks import registry
from matrix.model.result import Verdict
from matrix.verdicts import judge
from tests.unit.conftest import Record, build, cell, file, observations, process

if TYPE_CHECKING:
    from matrix.model.result import CheckResult

TOUCHED = "/src/tools/perf/util/evsel.c"


def examined(*, out_of_tree: bool = True, **steps: Any) -> CheckResult:
    of = cell(what=build(out_of_tree=out_of_tree))
    more = {name: steps.pop(name) for name in ("lower", "errors") if name in steps}
    given: dict[str, list[Record]] = {name.replace("_", "-"): found for name, found in steps.items()}
    return judge.check_result(registry()["source-untouched"], observations(of, given, **more), [])


def keys(result: CheckResult) -> list[str]:
    return [finding.key for finding in result.findings]


def test_a_build_that_writes_into_its_own_folder_alone_passes() -> None:
    result = examined(build=[file("/out/perf")], rebuild=[file("/out/perf")])
    assert (result.verdict, result.examined) == (Verdict.PASS, 2)


def test_a_file_written_into_the_source_tree_is_a_finding_with_its_maker() -> None:
    result = examined(build=[process(0, "touch", "/src/x"), file("/out/perf"), file("/src/x")])
    assert keys(result) == ["written:/src/x"]
    assert result.findings[0].actual == "written in step build"
    assert result.findings[0].evidence == "made by: touch /src/x"


def test_a_file_removed_from_the_source_tree_is_a_finding() -> None:
    result = examined(build=[file("/out/perf"), file("/src/x", "", kind="whiteout")])
    assert [(finding.key, finding.actual) for finding in result.findings] == [
        ("written:/src/x", "removed in step build")
    ]


def test_a_file_is_told_once_with_the_step_that_wrote_it_first() -> None:
    result = examined(build=[file("/out/perf")], rebuild=[file("/src/x")], clean=[file("/src/x")])
    assert [finding.actual for finding in result.findings] == ["written in step rebuild"]


def test_what_the_second_build_writes_counts_too() -> None:
    result = examined(build=[file("/out/perf")], build_again=[file("/src/x")])
    assert keys(result) == ["written:/src/x"]


def test_a_new_folder_counts_unless_something_is_in_it() -> None:
    folder = file("/src/sub", kind="directory")
    assert keys(examined(build=[file("/out/perf"), folder])) == ["written:/src/sub"]
    assert keys(examined(build=[file("/out/perf"), folder, file("/src/sub/x")])) == ["written:/src/sub/x"]


def test_a_folder_of_the_tree_that_was_copied_up_is_none() -> None:
    folder = file("/src/tools", "", kind="directory")
    result = examined(build=[file("/out/perf"), folder], lower={"/src/tools": (0o755, "")})
    assert result.verdict is Verdict.PASS


def test_what_a_step_touched_itself_is_none_from_then_on() -> None:
    touched: dict[str, Any] = {
        "touch_source": [file(TOUCHED)],
        "touch_header": [file(TOUCHED)],
        "clean": [file(TOUCHED)],
    }
    assert examined(build=[file("/out/perf")], **touched).verdict is Verdict.PASS
    assert keys(examined(build=[file("/out/perf"), file(TOUCHED)])) == [f"written:{TOUCHED}"]


def test_a_build_that_left_nothing_in_its_folder_proves_nothing() -> None:
    assert examined(build=[]).verdict is Verdict.FAIL


def test_an_in_tree_build_is_skipped() -> None:
    result = examined(out_of_tree=False, build=[file("/src/x")])
    assert (result.verdict, result.reason) == (Verdict.SKIP, "an in-tree build writes into the source tree")


def test_without_a_build_the_check_is_skipped() -> None:
    assert examined(errors={"build": "the container ended"}).verdict is Verdict.SKIP
