"""The layout of tools/perf and tools/build, whole: folders, files, generators, tables, symbols. Pure.

Paths are of three kinds: in a kernel tree (`tools/perf/…`), inside a cell (`/src/…`, `/out/…`), and in the output
folder, in which a build leaves perf (`perf`, `pmu-events/…`).
"""

from __future__ import annotations

import posixpath
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from matrix.model.globs import matches_any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Folders inside a cell.
SOURCE = "/src"
"""The kernel tree."""
OUTPUT = "/out"
"""The output folder of a build with `O=`."""
FOLDER = f"{SOURCE}/tools/perf"
"""The folder in which make runs, and the output folder of a build without `O=`."""

# Files of a kernel tree.
PARTS = ("tools/", "scripts/", "arch/", "include/", "lib/", "kernel/bpf/", "net/")
"""The folders that a build of perf may need; of the top folder it needs the files alone."""
MAKEFILE = "tools/perf/Makefile.perf"
"""The makefile with perf's rules; a tree without it is no kernel tree. Makefile beside it runs this one."""
MANIFEST = "tools/perf/MANIFEST"
"""The list of the files and folders of perf's own source package: a path or glob a line."""
GENERATOR = "tools/perf/pmu-events/jevents.py"
"""The program that writes the event tables."""
MAIN_SOURCE = "tools/perf/perf.c"
"""The source whose compiler gets the flags of all of perf's own objects."""
COMPILED_SOURCES = "tools/perf/*.c"
READ_BY_OTHERS = ("*.bpf.c", "*/bpf_skel/*", "tools/perf/pmu-events/*", "tools/perf/tests/shell/*")
"""Sources that more than a compiler of perf reads: rules of their own, whose prerequisites are not all declared."""

# Files in the output folder.
PROGRAM = "perf"
PROGRAM_GOALS = ("all", "perf", "install", "install-bin", "install-tests", "install-tools")
"""The goals of Makefile.perf that make the program."""
FEATURE_DUMP = "FEATURE-DUMP"
"""The result of the feature detection, from tools/build/Makefile.feature: a line `feature-NAME=0` or `=1` each."""
TABLES_FOLDER = "pmu-events"
TABLES_SOURCE = f"{TABLES_FOLDER}/pmu-events.c"
TABLES_OBJECT = f"{TABLES_FOLDER}/pmu-events.o"
STRING_OBJECT = f"{TABLES_FOLDER}/pmu-events-string.o"
"""The unit that holds the big string alone; trees before the series have the string beside the tables."""
TABLE_OBJECTS = (TABLES_OBJECT, STRING_OBJECT)
ELF_FILES = (PROGRAM, *TABLE_OBJECTS)
"""The files whose ELF facts are read."""

WITHOUT_TABLES = "NO_JEVENTS"
"""The variable of make's that, as 1, has empty event tables compiled (pmu-events/Build)."""

# Symbols of the event tables.
TABLE_SYMBOLS = ("pmu_events__", "pmu_metrics__")
"""How the names of the event tables' symbols begin."""
STRING_SYMBOL = "big_c_string"
# As jevents.py's print_pending_events and print_pending_metrics write them.
_COMPACT_TABLE = re.compile(rb"^(?:static )?const struct compact_pmu_event (pmu_(?:events|metrics)__\w+)\[\]", re.M)

MOST_TABLES, TABLE_NAME_BYTES = 10_000, 1_000
"""Twenty times what perf has: 368 tables with names of 40 bytes; a transcript has all of them."""

# `perf version --build-options`, as status_print in tools/perf/builtin-version.c or, later, builtin-check.c prints it.
# The output may be anything that a program of the tree prints: the expression looks at a character a fixed number of
# times, as it has no two repeats of one character next to each other.
_OPTION = re.compile(r"^[ \t]*([\w.+-]+): \[ (on|OFF)[ \t]*\]", re.M)

_POOL = b"ProcessPoolExecutor"
_EMPTY_TABLES = "test-empty"  # test-empty-pmu-events.c, which pmu-events/Build compares with empty-pmu-events.c

# Feature tests, of tools/build.
_FEATURE_FILE = re.compile(r"/feature/(test-[\w.-]+?)\.(?:c|cpp|d|bin|make\.output)$")
_FEATURE_INPUT = re.compile(r"(?:^|[/\s])(test-[\w.-]+?)\.(?:c|cpp|make\.output)\b")
_FEATURE_TARGET = re.compile(r"(?:^|/)(test-[\w.-]+?)\.bin\b")


def in_cell(path: str) -> str:
    """Return the path inside a cell of a kernel tree's path."""
    return f"{SOURCE}/{path}"


def output_folder(*, out_of_tree: bool) -> str:
    """Return the folder inside a cell in which a build leaves perf."""
    return OUTPUT if out_of_tree else FOLDER


def makes_program(goals: Sequence[str]) -> bool:
    """Return whether make with these goals makes the program."""
    return not goals or any(goal in PROGRAM_GOALS for goal in goals)


def installs(goals: Sequence[str]) -> bool:
    """Return whether make with these goals installs something."""
    return any(goal.startswith("install") for goal in goals)


def is_source(path: str) -> bool:
    """Return whether a file of the tree is a C source that becomes one object of perf and nothing else."""
    read_by_others = matches_any(path, READ_BY_OTHERS)
    return fnmatchcase(path, COMPILED_SOURCES) and not read_by_others


def has_pool(generator: bytes) -> bool:
    """Return whether the text of the generator uses a pool of processes."""
    return _POOL in generator


def is_generator(argv: tuple[str, ...]) -> bool:
    """Return whether a command line runs the generator: Python, at most one option, and the script."""
    return any(word.endswith(posixpath.basename(GENERATOR)) for word in argv[:3])


def writes_tables(argv: tuple[str, ...]) -> bool:
    """Return whether a generator's command line writes event tables, and not the empty ones of its own test."""
    return any(word.endswith(".c") and _EMPTY_TABLES not in word for word in argv)


def is_table_object(path: str) -> bool:
    """Return whether a path is that of an object with the event tables or their string, in whatever folder."""
    return posixpath.basename(path) in map(posixpath.basename, TABLE_OBJECTS)


def is_table_symbol(name: str) -> bool:
    """Return whether a symbol is an event table or the big string."""
    return name.startswith((*TABLE_SYMBOLS, STRING_SYMBOL))


def compact_tables(source: bytes) -> tuple[str, ...]:
    """Return the names of the compact event tables that the generated C source declares, sorted.

    Raises:
        ValueError: there are more than MOST_TABLES, or one has a name of more than TABLE_NAME_BYTES.

    """
    names: set[bytes] = set()
    for found in _COMPACT_TABLE.finditer(source):
        names.add(found[1])
        if len(names) > MOST_TABLES or len(found[1]) > TABLE_NAME_BYTES:
            limits = f"more than {MOST_TABLES} compact tables, or a name of more than {TABLE_NAME_BYTES} bytes"
            raise ValueError(f"{posixpath.basename(TABLES_SOURCE)} has {limits}")
    return tuple(sorted(name.decode() for name in names))


def build_options(text: str) -> dict[str, str]:
    """Return the options that `perf version --build-options` printed, each `on` or `OFF`."""
    return dict(_OPTION.findall(text))


def is_skeleton(path: str) -> bool:
    """Return whether a path is a BPF skeleton of perf: those of the bpftool that perf builds for itself are not."""
    return path.endswith(".skel.h") and "/bootstrap/" not in path


def is_feature_test(path: str) -> bool:
    """Return whether a path or goal belongs to a feature test."""
    return "/feature/test-" in path


def feature_test(path: str) -> str:
    """Return the feature test (`test-libelf`) whose source, target or log a path is, or nothing."""
    found = _FEATURE_FILE.search(path)
    return found[1] if found else ""


def feature_target(word: str) -> str:
    """Return the feature test whose target a word of a command line names, or nothing."""
    found = _FEATURE_TARGET.search(word)
    return found[1] if found else ""


def feature_inputs(word: str) -> list[str]:
    """Return the feature tests whose source or log a word of a command line names, as their recipes do."""
    return _FEATURE_INPUT.findall(word)
