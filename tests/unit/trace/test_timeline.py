from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix.trace.cost import account
from matrix.trace.spans import Span, leaf_spans
from matrix.trace.timeline import Origin, Timeline, of_step
from tests.unit.conftest import EPOCH, PERF, file, process, step

if TYPE_CHECKING:
    from tests.unit.conftest import Record

OUT, OWN = "pipe:[1]", "pipe:[2]"


def ran(index: int, *argv: str, at: tuple[float, float], parent: int | None = 0, stdout: str = OUT,
        cpu_s: float = 0.0, **more: Any) -> Record:  # fmt: skip
    begin, end = EPOCH + at[0], EPOCH + at[1]
    stdouts = [stdout] if argv else []
    return process(index, *argv, parent=parent, start=begin, end=end, stdouts=stdouts, cpu_ns=int(cpu_s * 1e9), **more)


def timeline(*given: Record) -> Timeline:
    return of_step(step("build", *given).facts())


MAKE = ran(0, "make", "-f", "Makefile.perf", "all", at=(0, 10), parent=None)
QUERY = ran(1, "/bin/sh", "-c", "gcc -dM -E", at=(0, 1), stdout=OWN)
COMPILE = ran(2, "/bin/sh", "-c", "gcc -c -o util/evsel.o util/evsel.c", at=(1, 5))
CC1 = ran(3, "cc1", "util/evsel.c", at=(2, 5), parent=2, cpu_s=2.5)
NESTED = ran(4, "make", "-f", "Makefile.build", "dir=./util", "obj=perf-util", at=(1, 9))
LINK = ran(5, "ld", "-r", "-o", "util/perf-util-in.o", "util/evsel.o", at=(8, 9), parent=4, cpu_s=0.5)
FILES = [file(f"{PERF}/util/evsel.o", at=EPOCH + 5), file(f"{PERF}/util/perf-util-in.o", at=EPOCH + 9)]
BUILD = [MAKE, QUERY, COMPILE, CC1, NESTED, LINK, *FILES]


def test_a_job_is_what_a_make_started_and_its_target_is_what_it_wrote() -> None:
    jobs = {job.process.index: (job.make.index, job.origin, job.target, job.kind) for job in timeline(*BUILD).jobs}
    assert jobs == {
        1: (0, Origin.SHELL, "", "other"),
        2: (0, Origin.RECIPE, f"{PERF}/util/evsel.o", "compiler"),
        4: (0, Origin.RECIPE, f"{PERF}/util/perf-util-in.o", "make"),
        5: (4, Origin.RECIPE, f"{PERF}/util/perf-util-in.o", "linker"),
    }


def test_without_its_standard_output_a_process_counts_as_a_recipes() -> None:
    [job] = timeline(process(0, "make"), process(1, "true", parent=0)).jobs
    assert job.origin == Origin.RECIPE


@pytest.mark.parametrize(
    ("argv", "target"),
    [
        (("sh", "-c", "flex -o util/a.c util/a.l"), f"{PERF}/util/a.c"),
        (("sh", "-c", "cat x > util/a.c; printf cmd > util/.a.o.cmd"), f"{PERF}/util/a.c"),
        (("sh", "-c", "ar rcs util/b.a util/a.c"), f"{PERF}/util/a.c"),
        (("sh", "-c", "echo GEN util/old.h"), f"{PERF}/util/old.h"),
        (("sh", "-c", "true"), ""),
        (("mkdir", "-p", "util"), ""),
    ],
)
def test_the_target_is_an_output_that_was_written_then_or_else_one_that_is_named(
    argv: tuple[str, ...], target: str
) -> None:
    there = [
        file(f"{PERF}/util", kind="directory", at=EPOCH + 2),
        file(f"{PERF}/util/a.c", at=EPOCH + 2),
        file(f"{PERF}/util/.a.o.cmd", at=EPOCH + 2),
        file(f"{PERF}/util/old.h", at=EPOCH - 50),
    ]
    [job] = timeline(MAKE, ran(1, *argv, at=(1, 3)), *there).jobs
    assert job.target == target


@pytest.mark.parametrize(
    ("argv", "goal"),
    [
        (("make", "-C", "../lib/api", "O=/out", "/out/libapi.a", "install_headers"), "/out/libapi.a"),
        (("make", "-C", "../lib/api", "bootstrap"), "/src/tools/lib/api/bootstrap"),
        (("make",), f"{PERF}/all"),
        (("make", "-f", "Makefile.build", "obj=other"), "other-in.o"),
        (("make", "-f", "Makefile.build", "dir=util", "obj=perf-util"), f"{PERF}/util/perf-util-in.o"),
    ],
)
def test_a_nested_make_is_named_by_its_goal_even_if_a_shell_started_it(argv: tuple[str, ...], goal: str) -> None:
    shell = ran(1, "sh", "-c", "cd x && make", at=(1, 3))
    found = timeline(MAKE, shell, ran(2, *argv, at=(1, 3), parent=1), *FILES)
    assert [job.target for job in found.jobs] == [goal]
    assert found.targets.goal(found.tree.processes[2]) == goal


def test_spans_have_the_processes_that_wait_for_no_child() -> None:
    found = [(span.start_s, span.end_s, set(span.leaves)) for span in leaf_spans(timeline(*BUILD).tree)]
    assert found == [
        (0, 1, {1}),
        (1, 2, {2, 4}),
        (2, 5, {3, 4}),
        (5, 8, {4}),
        (8, 9, {5}),
        (9, 10, {0}),
    ]
    assert Span(1.0, 3.5, ()).wall_s == 2.5


def test_a_child_that_outlives_its_parent_is_a_leaf_by_itself() -> None:
    found = leaf_spans(timeline(ran(0, "sh", at=(0, 2), parent=None), ran(1, "sleep", at=(1, 4))).tree)
    assert [span.leaves for span in found] == [(0,), (1,), (1,)]


def test_what_has_no_duration_is_no_leaf() -> None:
    found = leaf_spans(timeline(MAKE, ran(1, "true", at=(3, 3)), ran(2, "true", at=(5, 4))).tree)
    assert {span.leaves for span in found} == {(0,)}


def test_what_was_not_seen_to_end_ends_with_the_step() -> None:
    found = timeline(ran(0, "make", at=(0, 3), parent=None), process(1, "daemon", start=EPOCH + 1, end=None, parent=0))
    assert found.tree.end(found.tree.processes[1]) == EPOCH + 3
    assert (found.tree.began, found.tree.wall_s) == (EPOCH, 3)


def test_no_process_is_no_time() -> None:
    nothing = timeline()
    assert (nothing.tree.wall_s, leaf_spans(nothing.tree), nothing.jobs) == (0, (), ())
    assert account(nothing).parallelism == 0


def test_the_account_adds_up() -> None:
    found = account(timeline(*BUILD))
    assert (found.wall_s, found.work_s, found.parallelism) == (10, 3, 0.3)
    assert (found.processes, found.programs["make"], found.programs["cc1"]) == (6, 2, 1)
    assert (found.parses, found.shell_functions, found.shell_processes, found.compiler_runs) == (2, 1, 1, 1)
    assert found.leaves_s == {1: 6, 2: 4}
    assert found.serial_s == 6
    assert {one.name: one.wall_s for one in found.serial} == {
        f"make: {PERF}/util/perf-util-in.o": 3,
        f"{PERF}/util/perf-util-in.o": 1,
        f"$(shell) of make: {PERF}/all": 1,
        f"make: {PERF}/all": 1,
    }
    top, nested = found.makes
    assert (top.goal, top.recipe_processes, top.shell_functions) == (f"{PERF}/all", 2, 1)
    assert (nested.start_s, nested.wall_s, nested.recipe_processes) == (1, 8, 1)


def test_a_time_without_any_process_is_in_the_account_as_one_in_which_nothing_ran() -> None:
    apart = [ran(0, "make", at=(0, 1), parent=None), ran(1, "make", at=(3, 4), parent=None)]
    found = account(timeline(*apart))
    assert {one.name: one.wall_s for one in found.serial}["(nothing ran)"] == 2
    assert found.leaves_s == {0: 2, 1: 2}


def test_what_ran_alone_is_named_by_its_program_or_its_make_where_there_is_no_target() -> None:
    found = timeline(
        ran(0, "sh", at=(0, 1), parent=None), ran(1, "make", at=(1, 9)), ran(2, "true", at=(1, 2), parent=1)
    )
    assert found.name(found.tree.processes[0]) == "sh"
    assert found.name(found.tree.processes[2]) == f"a recipe of make: {PERF}/all"


def test_a_make_that_started_anew_read_its_makefiles_again() -> None:
    make = process(0, "make", argvs=[["make"], ["make"]], stdouts=[OUT, OUT])
    assert timeline(make).tree.parses == 2
