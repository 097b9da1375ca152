"""Which process made a file, what a process was for. Pure."""

from __future__ import annotations

import itertools
import posixpath
import shlex
from typing import TYPE_CHECKING

from matrix.scenario import perf

if TYPE_CHECKING:
    from matrix.scenario.observations import Process, StepFacts

TEXT_CHARS = 300


def text(process: Process) -> str:
    """Return a process's command line, shortened."""
    line = shlex.join(process.argv)
    return line if len(line) <= TEXT_CHARS else line[: TEXT_CHARS - 1] + "…"


def names(process: Process, path: str) -> bool:
    """Return whether a word of the process's command line is this file, by itself or inside a shell command."""
    folder = process.cwd or "/"
    for word in process.argv:
        for piece in word.split() if " " in word else [word]:
            token = piece.strip("'\"();<>").removeprefix("-o")
            if token and posixpath.normpath(posixpath.join(folder, token)) == path:
                return True
    return False


def maker(step: StepFacts, path: str) -> str:
    """Return the command line of the process that most likely wrote a file, or nothing where none can be told.

    It is the last one to have started before the file's mtime among those that name the file and were running
    then; a recipe's shell counts only where no program that it ran does.
    """
    file = step.files.get(path)
    if file is None:
        return ""
    at = file.mtime_ns / 1e9
    near = [
        process
        for process in step.processes
        if process.argv and process.start <= at + 0.01 and (process.end or at) >= at - 0.05 and names(process, path)
    ]
    near.sort(
        key=lambda process: (
            process.program in ("sh", "bash", "dash"),
            process.program == "make",
            -process.start,
        )
    )
    return text(near[0]) if near else ""


_SOURCES = (".c", ".S", ".s", ".cc", ".cpp", ".cxx", ".rs")
_COMPILERS = ("cc1", "cc1plus", "lto1")
_LINKERS = ("ld", "ld.bfd", "ld.gold", "ld.lld", "lld")
_QUERIES = ("--version", "-dumpversion", "-dumpmachine", "--help")


def work(process: Process) -> tuple[str, str] | None:
    """Return what a process did that only a build with something to do needs: (kind, what it did it to), or nothing.

    Kinds are compiler, linker, generator and install. A driver (gcc) is not counted, as what it runs (cc1, ld) is;
    a preprocessor query (`cc1 -E`, as `gcc -dM -E` in a makefile) compiles nothing.
    """
    program, words = process.program, process.argv[1:]
    compiler = program in _COMPILERS or program.startswith(("clang", "rustc"))
    if words in (("-v",), ("-V",)) or any(word in _QUERIES for word in words):
        return None
    if compiler and "-E" in words and "-lang-asm" not in words:
        return None
    found: tuple[str, str] | None = None
    if compiler and (program in _COMPILERS or _source(process) != "?" or "-c" in words):
        found = "compiler", _source(process)
    elif program in _LINKERS:
        found = "linker", _absolute(process, _after(words, "-o"))
    elif program in ("ar", "llvm-ar") or program.endswith("-gcc-ar"):
        found = "linker", _absolute(process, next((word for word in words if word.endswith(".a")), "?"))
    elif program == "install":
        found = "install", _absolute(process, words[-1] if words else "?")
    elif generator := _generator(program, words):
        found = "generator", generator if generator.startswith("bpftool ") else _absolute(process, generator)
    return found


def _generator(program: str, words: tuple[str, ...]) -> str:
    """Return the script or grammar that a generator works from, or nothing for any other program."""
    endings: tuple[str, ...] = ()
    if program.startswith("python"):
        endings = (".py",)
    elif program in ("flex", "bison", "lex", "yacc"):
        endings = (".l", ".y")
    elif program in ("perl", "awk", "gawk", "mawk"):
        endings = (".pl", ".awk")
    elif program == "bpftool":
        return "bpftool " + " ".join(word for word in words[:3] if not word.startswith("-"))
    elif program in ("sh", "bash", "dash"):
        named = words[0] if words else ""
        return named if named.endswith(".sh") and not named.rpartition("/")[2].startswith("check-") else ""
    return next((word for word in words if word.endswith(endings)), "") if endings else ""


_TAKE_A_NAME = ("-o", "-MQ", "-MT", "-MF", "-MD", "-dumpbase")


def _source(process: Process) -> str:
    inputs = [
        word
        for before, word in itertools.pairwise(process.argv)
        if word.endswith(_SOURCES) and not word.startswith("-") and before not in _TAKE_A_NAME
    ]
    return _absolute(process, inputs[0]) if inputs else "?"


def _after(words: tuple[str, ...], option: str) -> str:
    return words[words.index(option) + 1] if option in words[:-1] else "?"


def _absolute(process: Process, word: str) -> str:
    path = posixpath.normpath(posixpath.join(process.cwd or "/", word)) if word not in ("?", "-") else word
    return "(a temporary file)" if path.startswith("/tmp/") else path  # noqa: S108 - inside the cell


def generator_argv(build: StepFacts, generator: str) -> tuple[str, ...]:
    """Return the command line of the generator that wrote the event tables in the build, or nothing.

    Of several runs it is the one that writes C and was given the most words: the others check the generator.
    """
    runs = [
        process.argv
        for process in build.processes
        if any(word.endswith(f"/{generator}") for word in process.argv[:3])
        and perf.writes_tables(process.argv)
        and not process.program.endswith("sh")
    ]
    return max(runs, key=len, default=())
