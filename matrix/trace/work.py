"""The kind of work that a process did: compiling, linking, generating or installing, as an up-to-date build needs none.

Pure.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from matrix.trace import file_access, program_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matrix.scenario.step_facts import Process

COMPILER, LINKER, GENERATOR, INSTALL = "compiler", "linker", "generator", "install"
KINDS = (COMPILER, LINKER, GENERATOR, INSTALL)
UNKNOWN = "?"
"""The subject of work whose command line does not name it."""

# The programs that do the work: the drivers gcc and g++ start cc1 and ld for it, clang and rustc compile themselves.
_SOURCES = (".c", ".S", ".s", ".cc", ".cpp", ".cxx", ".rs")
_COMPILERS = ("cc1", "cc1plus", "lto1")
_DRIVERS_TOO = ("clang", "rustc")
"""The beginnings of the names of programs that are a driver and a compiler in one."""
_LINKERS = ("ld", "ld.bfd", "ld.gold", "ld.lld", "lld")
_ARCHIVER = re.compile(r"^(?:llvm-)?ar$|-gcc-ar$")
_QUERIES = (("--version",), ("-dumpversion",), ("-dumpmachine",), ("--help",))

_SCRIPTS = (
    (re.compile(r"^python"), (".py",)),
    (re.compile(r"^(?:flex|bison|lex|yacc)$"), (".l", ".y")),
    (re.compile(r"^(?:perl|awk|gawk|mawk)$"), (".pl", ".awk")),
)
"""The programs that generate files from a script or a grammar, with the endings of these scripts and grammars."""


def work(process: Process) -> tuple[str, str] | None:
    """Return the kind of work that a process did, one of KINDS, and its subject; None where it did no work.

    The subject of compiling is the source, of linking and installing the file made, of generating the script or
    grammar. A driver (gcc) does no work itself, as the programs that it runs (cc1, ld) are counted. Of several programs
    that a process ran one after the other (execve(2)), the last one that did work counts.
    """
    return next(filter(None, map(_work_of_program, _programs(process))), None)


def _programs(process: Process) -> Iterable[Process]:
    """Return a process for each program that a process ran, the last one first."""
    if len(process.argvs) == 1:  # as nearly all have; a copy costs as much as finding its work
        return (process,)
    return (replace(process, argvs=(argv,)) for argv in reversed(process.argvs))


def _work_of_program(process: Process) -> tuple[str, str] | None:
    """Return the work of a process that ran one program."""
    if _is_query(process):
        return None
    done = ((kind, _shown(subject(process))) for does, kind, subject in _RULES if does(process))
    return next(done, None)


def _is_query(process: Process) -> bool:
    """Return whether a process only answers a question: `--version`, or `cc1 -E`, which `gcc -dM -E` runs."""
    words = process.argv[1:]
    return _has_query_option(words) or _only_preprocesses(process.program, words)


def _has_query_option(words: tuple[str, ...]) -> bool:
    """Return whether a program is asked for its version, its target or its help, by its first word.

    Any later word may be the value of an option: `ld -rpath --version a.o` links.
    """
    return words in (("-v",), ("-V",)) or words[:1] in _QUERIES


def _only_preprocesses(program: str, words: tuple[str, ...]) -> bool:
    """Return whether a compiler is told to preprocess; `cc1 -isystem -E a.c` compiles, in a folder of this name."""
    # `cc1 -E -lang-asm` is the first half of assembling a .S file, which is work.
    if "-lang-asm" in words:
        return False
    if program in _COMPILERS:
        return words[:1] == ("-E",)  # gcc puts it first: trad_capable_cpp in gcc/gcc.cc
    options = (word for before, word in itertools.pairwise(("", *words)) if before not in program_files.TAKE_A_WORD)
    return _is_compiler(program) and "-E" in options


def _is_compiler(program: str) -> bool:
    return program in _COMPILERS or program.startswith(_DRIVERS_TOO)


def _compiles(process: Process) -> bool:
    """Return whether a process is a compiler at work; a driver is one where it has a source or the option `-c`."""
    if process.program in _COMPILERS:
        return True
    at_work = _source(process) != UNKNOWN or "-c" in process.argv[1:]
    return at_work and _is_compiler(process.program)


def _links(process: Process) -> bool:
    return process.program in _LINKERS


def _archives(process: Process) -> bool:
    return bool(_ARCHIVER.search(process.program))


def _installs(process: Process) -> bool:
    return process.program == "install"


def _generates(process: Process) -> bool:
    return bool(_generator(process))


def _source(process: Process) -> str:
    return _first(file_access.of(process).reads, _SOURCES)


def _output(process: Process) -> str:
    return next(iter(file_access.of(process).writes), UNKNOWN)


def _archive(process: Process) -> str:
    access = file_access.of(process)
    return _first((*access.writes, *access.reads), (".a",))


def _first(paths: Iterable[str], endings: tuple[str, ...]) -> str:
    return next((path for path in paths if path.endswith(endings)), UNKNOWN)


def _shown(path: str) -> str:
    """Return a path as the subject of work; paths below /tmp all read alike, as their names are random."""
    return "(a temporary file)" if path.startswith("/tmp/") else path  # noqa: S108 - inside the cell


def _generator(process: Process) -> str:
    """Return the script or grammar that a generator works from, or nothing for any other program."""
    if process.program == "bpftool":  # its subcommand (`gen skeleton`) tells more than a file
        return " ".join(["bpftool", *_without_options(process.argv[1:4])])
    script = _script(process)
    return posixpath.normpath(posixpath.join(process.cwd or "/", script)) if script else ""


def _script(process: Process) -> str:
    """Return the script or grammar that a process was told to read, as its words name it, or nothing."""
    words = process.argv[1:]
    is_shell = process.program in file_access.SHELLS
    return _shell_script(words) if is_shell else _first_script(process.program, words)


def _without_options(words: Iterable[str]) -> list[str]:
    return [word for word in words if not word.startswith("-")]


def _first_script(program: str, words: tuple[str, ...]) -> str:
    """Return the first word that is a script or grammar of the kind that a program reads, or nothing."""
    for pattern, endings in _SCRIPTS:
        if pattern.search(program):
            return next((word for word in words if word.endswith(endings)), "")
    return ""


def _shell_script(words: tuple[str, ...]) -> str:
    """Return the script that a shell runs, or nothing for one that only checks (`check-headers.sh`)."""
    script = words[0] if words else ""
    is_check = posixpath.basename(script).startswith("check-")
    return script if script.endswith(".sh") and not is_check else ""


_RULES: tuple[tuple[Callable[[Process], bool], str, Callable[[Process], str]], ...] = (
    (_compiles, COMPILER, _source),
    (_links, LINKER, _output),
    (_archives, LINKER, _archive),
    (_installs, INSTALL, _output),
    (_generates, GENERATOR, _generator),
)
"""The kinds of work: which processes do it, and the subject of each. The first rule that fits counts."""
