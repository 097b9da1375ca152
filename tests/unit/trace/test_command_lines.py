from __future__ import annotations

import pytest

from matrix.trace.command_lines import TEXT_CHARS, maker, names, text, work
from tests.unit.conftest import EPOCH, PERF, Record, file, process, step


def ran(*argv: str, cwd: str = PERF) -> Record:
    return process(0, *argv, cwd=cwd)


def work_of(*argv: str, cwd: str = PERF) -> tuple[str, str] | None:
    [one] = step("build", ran(*argv, cwd=cwd)).facts().processes
    return work(one)


@pytest.mark.parametrize(
    ("argv", "kind", "target"),
    [
        (("cc1", "-quiet", "util/a.c", "-o", "/x/x.s"), "compiler", "util/a.c"),
        (("/usr/lib/gcc/cc1", "-o", "b.c", "a.c"), "compiler", "a.c"),
        (("cc1plus", "a.cpp"), "compiler", "a.cpp"),
        (("cc1", "-E", "-lang-asm", "a.S"), "compiler", "a.S"),
        (("cc1", "-quiet", "-"), "compiler", "?"),
        (("lto1", "x.res"), "compiler", "?"),
        (("clang", "-c", "-o", "a.o", "a.c"), "compiler", "a.c"),
        (("clang-19", "-c", "-x", "c", "-"), "compiler", "?"),
        (("rustc", "--emit=obj", "a.rs"), "compiler", "a.rs"),
        (("ld", "-r", "-o", "in.o", "a.o"), "linker", "in.o"),
        (("ld.lld", "a.o"), "linker", "?"),
        (("ld.bfd", "a.o", "-o"), "linker", "?"),
        (("ar", "rcs", "lib.a", "a.o"), "linker", "lib.a"),
        (("x86_64-linux-gnu-gcc-ar", "t", "x"), "linker", "?"),
        (("install", "-m", "644", "a.h", "include/a.h"), "install", "include/a.h"),
        (("install",), "install", "?"),
        (("python3.13", "pmu-events/jevents.py", "x86"), "generator", "pmu-events/jevents.py"),
        (("flex", "-o", "a.c", "util/a.l"), "generator", "util/a.l"),
        (("bison", "-d", "util/a.y"), "generator", "util/a.y"),
        (("mawk", "-f", "gen.awk", "x"), "generator", "gen.awk"),
        (("perl", "gen.pl"), "generator", "gen.pl"),
        (("cc1", "-quiet", "-v", "a.c"), "compiler", "a.c"),
        (("mawk", "-v", "x=1", "-f", "gen.awk"), "generator", "gen.awk"),
        (("install", "-v", "a.h", "include/a.h"), "install", "include/a.h"),
        (("/bin/sh", "trace/gen.sh", "x"), "generator", "trace/gen.sh"),
    ],
    ids=str,
)
def test_work_is_what_only_a_build_with_something_to_do_needs(argv: tuple[str, ...], kind: str, target: str) -> None:
    assert work_of(*argv) == (kind, target if target == "?" else f"{PERF}/{target}")


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("make", "-C", "x"),
        ("gcc", "-c", "a.c"),
        ("cc1", "-E", "-dM", "-"),
        ("clang", "--version"),
        ("clang", "-dM", "-E", "-"),
        ("clang", "-print-file-name=x"),
        ("ld", "-v"),
        ("ld", "--version"),
        ("python3", "--version"),
        ("python3", "-c", "import sys"),
        ("python3-config", "--ldflags"),
        ("bison", "--version"),
        ("awk", "{print}"),
        ("sh", "-c", "test -f a.sh"),
        ("sh", "./check-headers.sh"),
        ("sh", "scripts/check-local.sh"),
        ("sh",),
        ("cat", "a.c"),
    ],
    ids=str,
)
def test_a_query_or_a_driver_is_no_work(argv: tuple[str, ...]) -> None:
    assert work_of(*argv) is None


def test_bpftool_is_named_by_what_it_was_told_to_do() -> None:
    assert work_of("/out/bpftool", "-d", "gen", "skeleton", "a.bpf.o") == ("generator", "bpftool gen skeleton")


def test_a_source_that_is_also_the_dump_base_is_still_the_source() -> None:
    assert work_of("cc1", "-dumpbase", "a.c", "a.c") == ("compiler", f"{PERF}/a.c")


def test_a_file_below_tmp_has_no_name_of_its_own() -> None:
    assert work_of("cc1", "/tmp/ccX.c") == ("compiler", "(a temporary file)")  # noqa: S108 - inside the cell


def test_a_relative_name_without_a_known_folder_is_below_the_top() -> None:
    assert work_of("cc1", "a.c", cwd="") == ("compiler", "/a.c")


def test_a_command_line_is_shown_as_one_would_type_it_and_shortened() -> None:
    one, two = step("build", ran("sh", "-c", "a b"), ran("x" * 1000)).facts().processes
    assert text(one) == "sh -c 'a b'"
    assert len(text(two)) == TEXT_CHARS
    assert text(two).endswith("…")


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (("gcc", "-o", "util/a.o"), True),
        (("gcc", "-outil/a.o"), True),
        (("touch", f"{PERF}/util/a.o"), True),
        (("sh", "-c", "(gcc -c a.c >'util/a.o')"), True),
        (("sh", "-c", "mv x ./util/../util/a.o;"), True),
        (("gcc", "-o", "a.o"), False),
        (("echo", "-o", "''"), False),
        ((), False),
    ],
    ids=str,
)
def test_a_process_names_a_file_by_a_word_of_its_command_line(argv: tuple[str, ...], *, named: bool) -> None:
    [one] = step("build", ran(*argv)).facts().processes
    assert names(one, f"{PERF}/util/a.o") is named


def maker_of(*processes: Record) -> str:
    return maker(step("build", *processes, file(f"{PERF}/a.o", at=EPOCH)).facts(), f"{PERF}/a.o")


def test_the_maker_is_the_last_program_to_have_started_that_names_the_file() -> None:
    assert (
        maker_of(
            process(0, "make", "a.o", start=EPOCH - 9),
            process(1, "sh", "-c", "gcc -o a.o a.c", start=EPOCH - 3),
            process(2, "gcc", "-o", "a.o", start=EPOCH - 2),
            process(3, "as", "-o", "a.o", start=EPOCH - 1, end=None),
            process(4, "ld", "a.o", start=EPOCH + 5),
            process(5, "cat", "a.o", start=EPOCH - 8, end=EPOCH - 7),
            process(6, start=EPOCH - 1),
            process(7, "ld", "b.o"),
        )
        == "as -o a.o"
    )


def test_a_recipes_shell_is_the_maker_where_no_program_that_it_ran_names_the_file() -> None:
    shell = process(1, "sh", "-c", "printf x > a.o", start=EPOCH - 3)
    assert maker_of(process(0, "make", "b.o"), shell) == "sh -c 'printf x > a.o'"


def test_where_nobody_names_the_file_no_maker_is_told() -> None:
    assert maker_of(process(0, "make")) == ""


def test_a_file_that_the_step_did_not_leave_has_no_maker() -> None:
    assert maker(step("build", process(0, "gcc", "-o", "a.o")).facts(), f"{PERF}/a.o") == ""


def test_a_linker_that_exports_its_symbols_is_at_work_all_the_same() -> None:
    assert work_of("ld", "-E", "-shared", "-o", "lib.so", "a.o") == ("linker", f"{PERF}/lib.so")
