from __future__ import annotations

import pytest

from matrix.trace.products import graph, reachable
from tests.unit.conftest import PERF, process, step


def made_by(*argv: str, cwd: str = PERF) -> dict[str, set[str]]:
    return graph(step("build", process(0, *argv, cwd=cwd)).facts())


def short(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    return {
        source.removeprefix(f"{PERF}/"): {target.removeprefix(f"{PERF}/") for target in targets}
        for source, targets in edges.items()
    }


@pytest.mark.parametrize(
    ("argv", "edges"),
    [
        (("gcc", "-c", "-o", "a.o", "a.c"), {"a.c": {"a.o"}}),
        (("cc1", "-quiet", "util/a.c", "-o", "/x/a.s"), {"util/a.c": {"/x/a.s"}}),
        (("ld", "-r", "-o", "in.o", "a.o", "b.o"), {"a.o": {"in.o"}, "b.o": {"in.o"}}),
        (("gcc", "-o", "perf", "in.o", "lib.a", "-lx.so"), {"in.o": {"perf"}, "lib.a": {"perf"}}),
        (("ar", "rcs", "lib.a", "a.o", "b.o"), {"a.o": {"lib.a"}, "b.o": {"lib.a"}}),
        (("llvm-ar", "rcs", "lib.a", "a.o"), {"a.o": {"lib.a"}}),
        (("cp", "-f", "a.bpf.o", "b.bpf.o"), {"a.bpf.o": {"b.bpf.o"}}),
        (("mv", "a.o.tmp", "a.o"), {}),
        (("install", "-m", "644", "lib/a.h", "include/"), {"lib/a.h": {"include/a.h"}}),
        (("ln", "-s", "libx.so.1.2", "libx.so"), {"libx.so.1.2": {"libx.so"}}),
        (("cp", "a.h"), {}),
        (("cat", "a.c"), {}),
        (("gcc", "-o"), {}),
        (("sh", "-c", "printf '%s ' a.o b.o | xargs ar rcs lib.a"), {"a.o": {"lib.a"}, "b.o": {"lib.a"}}),
        (("sh", "-c", "(gcc -o a.o a.c); true"), {"a.c": {"a.o"}}),
        (("sh", "-c", "echo a.o lib.a"), {}),
    ],
    ids=str,
)
def test_a_command_line_tells_what_is_made_from_what(argv: tuple[str, ...], edges: dict[str, set[str]]) -> None:
    assert short(made_by(*argv)) == edges


def test_names_are_relative_to_the_processs_folder() -> None:
    assert made_by("gcc", "-o", "../a.o", "./a.c", cwd="/src/tools/lib") == {"/src/tools/lib/a.c": {"/src/tools/a.o"}}
    assert made_by("gcc", "-o", "a.o", "a.c", cwd="") == {"/a.c": {"/a.o"}}


def test_a_fork_without_a_program_makes_nothing() -> None:
    assert made_by() == {}


def test_several_copied_files_go_to_the_folder_each() -> None:
    assert short(made_by("cp", "a.h", "b.h", "include/")) == {"a.h": {"include/a.h"}, "b.h": {"include/b.h"}}


def test_edges_of_all_processes_come_together() -> None:
    facts = step("build", process(0, "cc", "-o", "a.o", "a.c"), process(1, "cc", "-o", "a.i", "a.c")).facts()
    assert short(graph(facts)) == {"a.c": {"a.o", "a.i"}}


def test_reachable_is_the_start_and_all_that_is_made_from_it() -> None:
    edges = {"a.c": {"a.o"}, "a.o": {"in.o"}, "in.o": {"perf", "a.o"}, "b.c": {"b.o"}}
    assert reachable(edges, ["a.c"]) == {"a.c", "a.o", "in.o", "perf"}
    assert reachable(edges, []) == set()
