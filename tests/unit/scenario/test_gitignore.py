from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from matrix.scenario.gitignore import LEVELS, covered

if TYPE_CHECKING:
    from pathlib import Path

IGNORE = {
    "": "*.o\n*.a\n!keep.o\n/top\n.*\n!.gitignore\nbuild/\n# comment\n\\#hash\n*.d[0-9]\nspace\\ \n",
    "tools": "!*.a\n/only-here\ndocs/**/gen\n*.log  \n",
    "tools/perf": "perf\nPERF-VERSION-FILE\n!important.log\n/util/*.c\n!/util/real.c\nsub/\n!sub/x\n**/deep\n",
    "tools/perf/arch": "*\n!*/\n!*.h\n",
    "lib": "inside/**\n[[:upper:]]x\n[!a-y]z\n\\*star\na?c\nx**y\n[]b]w\n/a/**/z\n*.[ch].*o\n",
}
PATHS = [
    "a.o", "keep.o", "tools/keep.o", "top", "tools/top", ".hidden", "tools/.hidden/x", ".gitignore",
    "build", "build/x", "tools/build/x/y", "#hash", "# comment", "x.d7", "x.dx", "space ", "space", "lib.a",
    "tools/lib.a", "only-here", "tools/only-here", "tools/x/only-here", "tools/docs/gen", "tools/docs/a/b/gen",
    "tools/x.log", "tools/perf/x.log", "tools/perf/important.log", "tools/perf/perf", "tools/perf/perf/x",
    "tools/perf/a/perf", "perf", "tools/perf/util/gen.c", "tools/perf/util/real.c", "tools/perf/util/a/gen.c",
    "tools/perf/sub/x", "tools/perf/a/b/deep", "tools/perf/arch/x.c", "tools/perf/arch/x.h",
    "tools/perf/arch/x86/y.h", "tools/perf/arch/x86/y.c", "tools/perf/PERF-VERSION-FILE", "other/plain.c",
    "lib/inside", "lib/inside/x", "lib/a/inside/x", "lib/Ax", "lib/ax", "lib/zz", "lib/az", "lib/*star", "lib/star",
    "lib/abc", "lib/ac", "lib/xy", "lib/xaay", "lib/xa/y", "lib/]w", "lib/bw", "lib/cw", "lib/a/z", "lib/a/b/c/z",
    "lib/a/y", "lib/x.c.bo", "lib/x.d.bo",
]  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    for folder, text in IGNORE.items():
        path = top / folder / ".gitignore"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return top


def git_says(repository: Path, paths: list[str]) -> set[str]:
    asked = subprocess.run(
        ["git", "-C", str(repository), "check-ignore", "--no-index", "-z", "--stdin"],
        input="\0".join(paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode in (0, 1), asked.stderr
    return set(asked.stdout.split("\0")) - {""}


def test_git_itself_says_the_same(repository: Path) -> None:
    assert {path for path in PATHS if covered(path, IGNORE)} == git_says(repository, PATHS)


def test_without_any_file_nothing_is_covered() -> None:
    assert not covered("a/b.o", {})


def test_lines_end_as_git_takes_them_to() -> None:
    assert not covered("b", {"": "a\x0cb\n"})
    assert covered("a.o", {"": "*.o\r\n"})


def test_a_path_of_more_names_than_any_has_is_covered_by_nothing() -> None:
    rules = {"": "*.o\n**/*.o\n"}
    assert covered("a/" * (LEVELS - 1) + "b.o", rules)
    assert not covered("a/" * LEVELS + "b.o", rules)


def test_a_pattern_of_more_names_than_any_path_has_covers_nothing_and_the_others_go_on() -> None:
    deep = "a/" * (LEVELS - 1) + "b"
    assert covered(deep, {"": f"/{deep}\n"})
    assert not covered(deep, {"": f"/{deep}/*\n"})
    assert covered("x.o", {"": "*/" * (2 * LEVELS) + "y\n*.o\n"})


def test_several_stars_in_a_row_are_one(repository: Path) -> None:
    (repository / ".gitignore").write_text("a/**/**/**/b\n**/**/c\n")
    paths = ["a/b", "a/x/b", "a/x/y/b", "c", "d/c", "d/e/c", "d"]
    assert {path for path in paths if covered(path, {"": "a/**/**/**/b\n**/**/c\n"})} == git_says(repository, paths)
