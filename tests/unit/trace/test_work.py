from __future__ import annotations

import pytest

from matrix.trace.work import work
from tests.unit.conftest import PERF, Record, process, step


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
        (("cc1", "-quiet", "-isystem", "-E", "a.c"), "compiler", "a.c"),
        (("cc1", "-isystem", "--version", "a.c"), "compiler", "a.c"),
        (("clang", "-include", "-E", "-c", "a.c"), "compiler", "a.c"),
        (("ld", "-rpath", "--version", "a.o", "-o", "a"), "linker", "a"),
        (("python3", "pmu-events/jevents.py", "--help"), "generator", "pmu-events/jevents.py"),
    ],
    ids=str,
)
def test_work_is_what_only_a_build_with_something_to_do_needs(argv: tuple[str, ...], kind: str, target: str) -> None:
    assert work_of(*argv) == (kind, target if target == "?" else f"{PERF}/{target}")


def test_a_compiler_that_becomes_another_program_did_work_all_the_same() -> None:
    record = ran()
    facts = record[2] | {"argvs": [["sh", "-c", "…"], ["cc1", "a.c"], ["true"]]}
    [one] = step("build", [*record[:2], facts]).facts().processes
    assert work(one) == ("compiler", f"{PERF}/a.c")


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


def test_a_linker_that_exports_its_symbols_is_at_work_all_the_same() -> None:
    assert work_of("ld", "-E", "-shared", "-o", "lib.so", "a.o") == ("linker", f"{PERF}/lib.so")
