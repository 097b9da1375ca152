from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrix.checks import registry
from matrix.model.result import Verdict
from matrix.verdicts import judge
from tests.unit.conftest import PERF, Record, build, cell, command, file, observations, process

if TYPE_CHECKING:
    from matrix.model.result import CheckResult

MADE = [process(0, "gcc", "-o", "a.o", "a.c"), file(f"{PERF}/a.o"), file(f"{PERF}/sub", kind="directory")]
IGNORE = {"": "*.o\n"}


def examined(clean: list[Record] | None = None, made: list[Record] | None = None, **more: Any) -> CheckResult:
    steps = {"build": MADE if made is None else made, "clean": clean or []}
    return judge.check_result(registry()["clean"], observations(steps=steps, **{"ignore": IGNORE, **more}), [])


def keys(result: CheckResult) -> list[str]:
    return [finding.key for finding in result.findings]


def test_a_clean_that_leaves_nothing_passes() -> None:
    result = examined()
    assert (result.verdict, result.examined) == (Verdict.PASS, 2)
    assert result.figures == {"made by the build": 2}


def test_what_is_left_is_a_finding_with_the_step_and_command_that_made_it() -> None:
    result = examined([file(f"{PERF}/a.o")])
    assert keys(result) == [f"left:{PERF}/a.o"]
    [finding] = result.findings
    assert finding.actual == "a file is left"
    assert finding.evidence == "made in step build by: gcc -o a.o a.c"
    assert finding.where == "logs/clean.log"


def test_what_nobody_is_known_to_have_made_is_a_finding_too() -> None:
    result = examined([file("/src/x.o")])
    assert (keys(result), result.findings[0].evidence) == (["left:/src/x.o"], "")


def test_a_folder_that_is_left_counts_by_what_is_in_it() -> None:
    folder, inside = file("/src/sub", kind="directory"), file("/src/sub/a.o")
    assert keys(examined([folder])) == ["left-folder:/src/sub"]
    assert keys(examined([folder, inside])) == ["left:/src/sub/a.o"]


def test_what_is_left_out_of_the_tree_is_a_finding() -> None:
    assert keys(examined([file("/out/a.o"), file("/out/link", kind="symlink")])) == [
        "left:/out/a.o",
        "left:/out/link",
    ]


def test_a_file_of_the_tree_with_other_content_is_a_finding() -> None:
    result = examined([file("/src/Makefile", "2")], lower={"/src/Makefile": (0o644, "1")})
    assert keys(result) == ["altered:/src/Makefile"]


def test_a_file_of_the_tree_with_another_mode_is_a_finding() -> None:
    result = examined([file("/src/run.sh", "1", mode=0o600)], lower={"/src/run.sh": (0o755, "1")})
    assert keys(result) == ["altered:/src/run.sh"]


def test_a_file_of_the_tree_that_was_copied_up_unchanged_is_none() -> None:
    lower = {"/src/Makefile": (0o644, "1"), "/src/tools": (0o755, "")}
    clean = [file("/src/Makefile", "1"), file("/src/tools", "", kind="directory", mode=0o755)]
    assert examined(clean, lower=lower).verdict is Verdict.PASS


def test_what_has_gone_from_the_tree_is_a_finding() -> None:
    removed = file("/src/lib/x.c", "", kind="whiteout")
    result = examined([removed], missing={"clean": ("lib/x.c",)}, lower={"/src/lib/x.c": (0o644, "1")})
    assert keys(result) == ["gone:/src/lib/x.c"]


def test_what_the_build_makes_and_no_gitignore_covers_is_a_finding() -> None:
    made = [*MADE, file(f"{PERF}/a.txt"), file("/out/b.txt"), file("/src/tools/gone", kind="whiteout")]
    assert keys(examined(made=made)) == [f"not-ignored:{PERF}/a.txt"]


def test_a_file_of_the_tree_needs_no_gitignore() -> None:
    made = [*MADE, file("/src/x.txt", "2")]
    assert examined(made=made, lower={"/src/x.txt": (0o644, "1")}).verdict is Verdict.PASS


def test_a_gitignore_that_covers_the_whole_tree_does_not_excuse_what_the_build_makes() -> None:
    """The trees of Debian's linux-source packages end their top .gitignore like this."""
    debian = {"": "*.o\n#\n# Debian packaging: ignore everything at the top level\n#\n/*\n!/debian/\n"}
    assert keys(examined(made=[*MADE, file(f"{PERF}/a.txt")], ignore=debian)) == [f"not-ignored:{PERF}/a.txt"]


def test_a_build_that_made_nothing_proves_nothing() -> None:
    assert examined(made=[]).verdict is Verdict.FAIL


def test_a_clean_that_fails_is_a_finding() -> None:
    assert keys(examined([command(exit_status=2)])) == ["step-failed:clean"]


def test_without_a_build_the_check_is_skipped() -> None:
    seen = observations(cell(what=build()), {"build": [command(exit_status=2)]})
    assert judge.check_result(registry()["clean"], seen, []).verdict is Verdict.SKIP
