from __future__ import annotations

import pytest

from matrix.trace import program_files
from matrix.trace.file_access import Access, access, of, shell_command
from tests.unit.conftest import PERF, process, step

Edges = dict[str, set[str]]


def edges(*argv: str, cwd: str = "/w") -> Edges:
    found: Edges = {}
    for flow in access(argv, cwd).flows:
        for name in flow.reads:
            found.setdefault(name.removeprefix("/w/"), set()).update(path.removeprefix("/w/") for path in flow.writes)
    return {name: writes for name, writes in found.items() if writes}


def written(*argv: str) -> list[str]:
    return [path.removeprefix("/w/") for path in access(argv, "/w").writes]


def read(*argv: str) -> set[str]:
    return {path.removeprefix("/w/") for path in access(argv, "/w").reads}


def words_alone(parameter: tuple[str, ...] | Edges) -> str:
    """Return the part of a test's id for a parameter: of edges none, as sets have an order of each process's own."""
    return " ".join(parameter) if isinstance(parameter, tuple) else ""


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("gcc", "-c", "a.c", "-oa.o"), {"a.c": {"a.o"}}),
        (("gcc", "-Wp,-MD,.a.d", "-Wp,-MT,a.o", "-c", "-o", "a.o", "a.c"), {"a.c": {"a.o", ".a.d"}}),
        (("gcc", "-Wp,-MMD,.a.d", "-c", "a.c"), {"a.c": {"a.o", ".a.d"}}),
        (("gcc", "-MD", "-MF", ".a.d", "-MT", "t.o", "-c", "-o", "a.o", "a.c"), {"a.c": {"a.o", ".a.d"}}),
        (("gcc", "-S", "lib/a.c"), {"lib/a.c": {"a.s"}}),
        (("gcc", "-E", "-c", "a.c"), {}),
        (("gcc", "-I", "include", "-x", "c", "-o", "a.o", "a.c"), {"a.c": {"a.o"}}),
        (("gcc", "-shared", "-Wl,-soname,libx.so", "-Wl,-Map,x.map", "-o", "libx.so.1", "a.o"),
         {"a.o": {"libx.so.1", "x.map"}}),
        (("x86_64-linux-gnu-gcc-14", "-ox", "a.c"), {"a.c": {"x"}}),
        (("cc1", "-quiet", "-MMD", "-dumpbase", "a.c", "a.c", "-o", "a.s"), {"a.c": {"a.s"}}),
        (("clang", "-S", "-o", "-", "a.c"), {}),
        (("ld", "-r", "-o", "in.o", "a.o", "b.o"), {"a.o": {"in.o"}, "b.o": {"in.o"}}),
        (("ld.bfd", "-T", "x.lds", "-o", "a", "b.o"), {"x.lds": {"a"}, "b.o": {"a"}}),
        (("ar", "rcs", "lib.a", "a.o", "b.o"), {"a.o": {"lib.a"}, "b.o": {"lib.a"}}),
        (("x86_64-linux-gnu-gcc-ar", "-rc", "x", "a.o"), {"a.o": {"x"}}),
        (("ar", "t", "lib.a"), {}),
        (("ar",), {}),
        (("flex", "-o", "a-flex.c", "--header-file=a-flex.h", "a.l"), {"a.l": {"a-flex.c", "a-flex.h"}}),
        (("bison", "-v", "util/a.y", "-d", "-ob.c", "-p", "parse_"), {"util/a.y": {"b.c"}}),
        (("rustc", "--crate-type", "staticlib", "--emit=dep-info=.a.d,link", "-o", "a.a", "a.rs"),
         {"a.rs": {"a.a", ".a.d"}}),
        (("objcopy", "-O", "binary", "-j", ".text", "a.o", "a.bin"), {"a.o": {"a.bin"}}),
        (("bpftool", "gen", "object", "out.o", "a.o", "b.o"), {"a.o": {"out.o"}, "b.o": {"out.o"}}),
        (("bpftool", "gen", "skeleton", "a.bpf.o"), {}),
        (("cp", "-f", "a.h", "b.h"), {"a.h": {"b.h"}}),
        (("cp", "a.h", "b.h", "include"), {"a.h": {"include/a.h"}, "b.h": {"include/b.h"}}),
        (("cp", "a.h", "include/"), {"a.h": {"include/a.h"}}),
        (("install", "-m", "644", "a.h", "/i/bpf"), {"a.h": {"/i/bpf", "/i/bpf/a.h"}}),
        (("install", "a.h", "-m", "644", "inc/"), {"a.h": {"inc/a.h"}}),
        (("install", "-m", "644", "-t", "inc", "a.h", "b.h"), {"a.h": {"inc/a.h"}, "b.h": {"inc/b.h"}}),
        (("cp", "--target-directory=inc", "a.h"), {"a.h": {"inc/a.h"}}),
        (("install", "-d", "-m", "755", "a", "b"), {}),
        (("mv", "-f", "doc.dep+", "doc.dep"), {"doc.dep+": {"doc.dep"}}),
        (("ln", "-sf", "../fixdep", "/w/obj//"), {"fixdep": {"obj/fixdep"}}),
        (("ln", "-s", "libx.so.1.2", "lib/libx.so"), {"lib/libx.so.1.2": {"lib/libx.so"}}),
        (("ln", "a.o", "b.o"), {"a.o": {"b.o"}}),
        (("cp", "a.h"), {}),
        (("cp",), {}),
        (("grep", "-o", "x", "a.h"), {}),
        (("make", "-o", "x", "a.o"), {}),
        ((), {}),
    ],
    ids=words_alone,
)  # fmt: skip
def test_a_program_writes_what_its_words_say_from_what_it_reads(argv: tuple[str, ...], expected: Edges) -> None:
    assert edges(*argv) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        # As kbuild and perf's makefiles write them.
        (("set -e;  echo '  CC  a.o'; gcc -Wp,-MD,./.a.o.d -c -o a.o a.c;  ./fixdep ./.a.o.d a.o 'gcc -c -o a.o a.c'"
         " > ./.a.o.tmp; rm -f ./.a.o.d; mv -f ./.a.o.tmp ./.a.o.cmd"),
         {"a.c": {"a.o", ".a.o.d"}, ".a.o.d": {".a.o.tmp"}, "a.o": {".a.o.tmp"}, ".a.o.tmp": {".a.o.cmd"}}),
        (("printf \"/out/util/%s \" a.o b.o | xargs ld -r -o /out/in.o; printf '%s\\n' 'cmd_in.o := ld -r -o in.o'"
         " > /out/.in.o.cmd"),
         {"/out/util/a.o": {"/out/in.o"}, "/out/util/b.o": {"/out/in.o"}}),
        ("rm -f lib.a; printf '%s ' a.o b.o | xargs -n 9 ar rcsD lib.a", {"a.o": {"lib.a"}, "b.o": {"lib.a"}}),
        ("echo a.o b.o | xargs ar rcs lib.a", {"a.o": {"lib.a"}, "b.o": {"lib.a"}}),
        ("ls | xargs -n 1", {}),
        ("bpftool gen skeleton a.bpf.o > a.skel.h", {"a.bpf.o": {"a.skel.h"}}),
        ("echo '  GEN  x.json'; python3 m.py west > x.json", {"m.py": {"x.json"}, "west": {"x.json"}}),
        ("/bin/sh trace/gen.sh include > gen.c", {"trace/gen.sh": {"gen.c"}, "include": {"gen.c"}}),
        ("gcc -MD -o t.bin t.c > t.make.output 2>&1", {"t.c": {"t.bin", "t.make.output"}}),
        ("gcc -o t.bin t.c 2>log", {"t.c": {"t.bin"}}),
        ('echo "feature-x=1" >> FEATURE-DUMP', {}),
        ("(cd foo && gcc -c -o ../a.o a.c); gcc -c b.c", {"foo/a.c": {"a.o"}, "b.c": {"b.o"}}),
        ("cat a.h b.h | sed -e 's/x y/z/' > c.h", {"a.h": {"c.h"}, "b.h": {"c.h"}}),
        ("cat a.h | tee b.h > c.h", {"a.h": {"b.h", "c.h"}}),
        ("sed 's/x y/z/' < a.h > b.h", {"a.h": {"b.h"}}),
        ("for i in a.c b.c; do gcc -c $i -o x.o; done", {"a.c": {"x.o"}, "b.c": {"x.o"}}),
        ("(cat a; cat b) > c", {"a": {"c"}, "b": {"c"}}),
        ("A=b ccache gcc -c -o a.o a.c", {"a.c": {"a.o"}}),
        ("X=1", {}),
        ("test -f a.o || touch b.o", {}),
        ("cp a.c /dev/null; cat '*.h' > x", {}),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_shell_stands_for_the_commands_of_its_script(script: str, expected: Edges) -> None:
    assert edges("/bin/sh", "-c", script) == expected


def test_what_is_written_comes_with_the_main_output_first() -> None:
    assert written("gcc", "-MF", ".a.d", "-c", "a.c", "-o", "a.o") == ["a.o", ".a.d"]
    assert written("touch", "-c", "x", "y") == ["x", "y"]
    assert written("sh", "-c", "true >x; tee -a y </dev/null 2>log") == ["x", "y", "log"]
    assert written("strip", "perf") == ["perf"]


def test_what_is_read_is_no_output() -> None:
    assert read("fixdep", ".a.d", "a.o", "gcc -c -o a.o a.c") == {".a.d", "a.o"}
    assert read("strip", "perf") == {"perf"}
    assert read("sh", "-c", "cat a.c | wc") == {"a.c"}


@pytest.mark.parametrize(
    ("argv", "script"),
    [
        (("sh", "-c", "x"), "x"),
        (("/bin/bash", "-e", "-c", "x"), "x"),
        (("sh", "-ec", "x"), "x"),
        (("sh", "a.sh", "-c", "x"), None),
        (("sh", "--rcfile", "-c"), None),
        (("sh", "-c"), None),
        (("gcc", "-c", "x"), None),
    ],
)
def test_the_script_of_a_shell_follows_its_option(argv: tuple[str, ...], script: str | None) -> None:
    assert shell_command(argv) == script


def test_all_words_that_can_be_files_are_named() -> None:
    names = access(("sh", "-c", "gcc -MT t.o -oa.o 'a b.c' >log; X='a.a b.a' Y= ./gen.sh $y"), "/w").names
    assert names == ("/w/gcc", "/w/t.o", "/w/a.o", "/w/log", "/w/gen.sh", "/w/a.a", "/w/b.a")


def test_names_are_relative_to_the_processs_folder() -> None:
    [one, fork] = step("build", process(0, "gcc", "-o", "../a.o", "./a.c"), process(1)).facts().processes
    assert of(one).writes == (f"{PERF.rpartition('/')[0]}/a.o",)
    assert of(fork) == Access()
    assert access(("gcc", "-o", "a.o", "a.c"), "").writes == ("/a.o",)


def test_the_files_of_a_scripts_command_are_looked_for_once_for_all_commands_that_it_feeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, ...]] = []
    flows = program_files.flows

    def recorded(words: tuple[str, ...]) -> list[program_files.Flow]:
        asked.append(words)
        return flows(words)

    monkeypatch.setattr(program_files, "flows", recorded)
    script = " | ".join(f"cat a{number}" for number in range(200))
    assert len(read("sh", "-c", script)) == 200
    assert len(asked) == 2 * 200  # what a command gives on, and what it does itself
