"""Command lines of a step's processes, which makefiles choose: scripts, words of programs, arguments of make."""

from __future__ import annotations

from matrix.config import mail_builds
from matrix.errors import MatrixError
from matrix.scenario.step_facts import Process
from matrix.trace import command_lines, file_access, make_arguments, program_files, shell_script, work
from matrix.verdicts import kept_build
from tests.fuzz.target import Target


def _process(argv: tuple[str, ...]) -> Process:
    return Process(
        index=0,
        parent=None,
        start=0.0,
        end=1.0,
        argvs=(argv,),
        cwd="/src/tools/perf",
        cpu_ns=0,
        rss_kib=0,
        status=0,
        threads=1,
    )


def _script(data: bytes) -> None:
    script = data.decode("utf-8", "replace")
    shell_script.commands(script)
    file_access.access.__wrapped__(("sh", "-c", script), "/src")


def _words(data: bytes) -> None:
    argv = tuple(data.decode("utf-8", "replace").split("\0"))
    file_access.access.cache_clear()  # or an input would cost nothing the second time
    program_files.flows(argv)
    file_access.access.__wrapped__(argv, "/src")
    process = _process(argv)
    work.work(process)
    make_arguments.arguments(argv)
    make_arguments.folder(process)
    command_lines.text(process)


def _mail(data: bytes) -> None:
    text = mail_builds.text_of(data)
    for found in mail_builds.builds(text)[0]:
        mail_builds.command(found)
    mail_builds.named_trees(text, ("7.3",))
    mail_builds.named_distros(text)


def _source(data: bytes) -> None:
    before, _, after = data.decode("utf-8", "replace").partition("\0")
    kept_build.reads_the_same(before, after)


def _argv(*words: bytes) -> bytes:
    return b"\0".join(words)


SCRIPTS = (
    b"cd util && printf 'util/%s ' a.o b.o | xargs ld -r -o in.o; { if [ -f a ]; then rm a; fi } 2> log",
    b'for i in a b; do echo $i > `cat x`; done; (cat a | sed s/a/b/ > b) && x=$(cat c) y "$z" # end',
)
PARTS = b"From: a\nContent-Type: multipart/mixed; boundary=b\n\n"
MAILS = (
    b"Hi,\n$ make -C tools/perf LLVM=1 -j8\n> # LANG=C make -C tools/perf O=/x \\\n>  A='b c' install\n",
    PARTS + b"--b\nContent-Transfer-Encoding: base64\n\nJCBtYWtlIHRvb2xzL3BlcmYgQT0x\n--b--\n",
    b"alias m='make -k CORESIGHT=1 O=/tmp/$PWD -C tools/perf install-bin'\ncd tools/perf && make A=1\n",
)
SHELL_WORDS = (
    b"'",
    b'"',
    b"\\",
    b"$(",
    b")",
    b"`",
    b"for ",
    b"do ",
    b"done",
    b"case ",
    b"esac",
    b"{ ",
    b"}",
    b"|",
    b" xargs ",
    b"cd ",
    b"cat a",
    b"echo a",
    b"<",
    b">",
    b"2>",
    b"&&",
    b";",
    b"\n",
    b"#",
)
ARGVS = (
    _argv(b"gcc", b"-Wp,-MMD,.a.o.d", b"-Iutil", b"-c", b"-o", b"a.o", b"a.c"),
    _argv(b"ar", b"rcs", b"lib.a", b"a.o"),
    _argv(b"make", b"-C", b"tools/perf", b"O=/out", b"all"),
    _argv(b"cp", b"-t", b"d", b"a", b"b"),
    _argv(b"ln", b"-sf", b"a", b"b"),
    _argv(b"x86_64-linux-gnu-ld", b"-r", b"-o", b"a.o", b"@x"),
    _argv(b"bpftool", b"gen", b"object", b"a", b"b"),
    _argv(b"python3", b"-B", b"jevents.py", b"x86", b"all", b"a.c"),
    _argv(b"/bin/sh", b"-ec", b"cat a > b"),
    _argv(b"rustc", b"--emit=dep-info=x,link=y"),
)
ARGV_WORDS = tuple(word for argv in ARGVS for word in (b"\0" + one for one in argv.split(b"\0")))

TARGETS = (
    Target(
        "shell-script",
        _script,
        SCRIPTS,
        words=SHELL_WORDS,
        growing={
            "an open quote": lambda size: b'"' + b'\\"' * (size // 2),
            "quotes": lambda size: b"'\"" * (size // 2) + b"'",
            "substitutions": lambda size: b"$(a " * (size // 4),
            "groups": lambda size: b"( " * (size // 2),
            "a pipe": lambda size: b"cat a | " * (size // 8),
            "words": lambda size: b"a" * size,
            "readers of a pipe": lambda size: b"cat " + b"a " * (size // 4) + b"| (" + b"cat;" * (size // 8) + b")",
            "arguments of xargs": lambda size: (
                b"echo " + b"a " * (size // 4) + b"| (" + b"xargs b;" * (size // 16) + b")"
            ),
            "a loop's head": lambda size: (
                b"for i in " + b"a " * (size // 4) + b"; do " + b"cat;" * (size // 8) + b"done"
            ),
            "folders": lambda size: b"cd aaaa;" * (size // 16) + b"cat a;" * (size // 12),
            "backquotes": lambda size: b"`" * size,
            "a long program": lambda size: b"a-" * (size // 4) + b" -ox" * (size // 8),
            "digits": lambda size: b"1" * size,
            "heads": lambda size: b"for a in b; " * (size // 12),
            "commands": lambda size: b"gcc -c a.c;" * (size // 11),
        },
    ),
    Target(
        "command-line",
        _words,
        ARGVS,
        words=ARGV_WORDS,
        growing={
            "archives": lambda size: _argv(
                b"ar", b"rcs", *(b"%d.a" % n for n in range(size // 10)), *(b"%d" % n for n in range(size // 10))
            ),
            "a long folder": lambda size: _argv(b"cp", *[b"a"] * (size // 4), b"b" * (size // 2) + b"/"),
            "a long program": lambda size: _argv(b"gcc-" * (size // 8), *[b"-ox"] * (size // 8)),
            "hyphens": lambda size: _argv(b"-" * size, b"-o", b"a"),
            "words": lambda size: _argv(b"gcc", *[b"a.c"] * (size // 4)),
            "options": lambda size: _argv(b"gcc", *[b"-o", b"a"] * (size // 5)),
            "linker": lambda size: _argv(b"gcc", b"-Wl" + b",-o,a" * (size // 5)),
            "goals": lambda size: _argv(b"make", *[b"a=b"] * (size // 4)),
            "links": lambda size: _argv(b"ln", b"-s", *[b"a"] * (size // 2)),
        },
    ),
    Target(
        "bug-report",
        _mail,
        MAILS,
        own=(MatrixError,),
        words=(
            b"\n$ make -C tools/perf ",
            b"\n> ",
            b"\\\n",
            b"O=/x",
            b" A=1",
            b"--b\n",
            b"alias m='make ",
            b"cd tools/perf && ",
        ),
        growing={
            "commands": lambda size: b"make -C tools/perf A=1\n" * (size // 23),
            "quotes": lambda size: b">" * size + b" make",
            "blank quotes": lambda size: b"> " * (size // 2) + b" make",
            "a prompt": lambda size: b"a@b" * (size // 3) + b"$ make",
            "empty continuations": lambda size: b"make\n" + b"\\\n" * (size // 2),
            "a long name": lambda size: b"a@" + b"a" * size + b" make",
            "continuations": lambda size: b"make -C tools/perf \\\n" * (size // 21),
            "variables": lambda size: b"make -C tools/perf" + b" A=1" * (size // 4),
            "folders": lambda size: b"make" + b" -C a" * (size // 5),
            "aliases": lambda size: b"alias " + b"m='make tools/perf' " * (size // 20),
            "headers": lambda size: b"From: a\n" + b"A: b\n" * (size // 5) + b"\nmake",
            "parts": lambda size: PARTS + b"--b\n\nmake tools/perf\n" * (size // 22),
            "levels": lambda size: b"From: a\n" + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" * (size // 48),
            "a parameter": lambda size: b"Content-Type: text/plain" + b"; a=b" * (size // 5) + b"\n\nmake",
        },
    ),
    Target(
        "c-source",
        _source,
        (b'#include "a.h" /* x */\nchar c = \'"\'; // y\n\0#include <a.h>\n',),
        words=(b'"', b"'", b"/*", b"*/", b"//", b"\\\n", b"#", b"%:"),
        growing={
            "an open string": lambda size: b'"' + b'\\"' * (size // 2),
            "open comments": lambda size: b"/*" * (size // 2),
            "open characters": lambda size: b"'" + b"\\'" * (size // 2),
            "slashes": lambda size: b"/" * size,
            "directives": lambda size: b"#a\n" * (size // 3),
            "blanks": lambda size: b" " * size + b"x",
            "blank lines": lambda size: b" \t\n" * (size // 3),
        },
    ),
)
