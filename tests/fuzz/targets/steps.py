"""What comes out of a cell: the agent's records, logs, ELF files, make's data bases, `.cmd` files, outputs of perf."""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

from matrix.agent import scan
from matrix.checks import build as build_check
from matrix.model.base import first_problem
from matrix.scenario import elf, gitignore, listings, make_database, perf, plan, transcript
from tests.fuzz import samples
from tests.fuzz.target import Target
from tests.unit import conftest as make

SCENARIO = plan.scenario(make.cell(), only=("build",))
BUILD = SCENARIO.steps[0]


def _records(data: bytes) -> None:
    """Take the records of a step all the way into a transcript that is written and read again."""
    found, _ = transcript.records(data)
    record = transcript.StepRecord(step=BUILD, log="logs/build.log", records=found)
    kept = transcript.Transcript(scenario=SCENARIO, ignore={}, generator_has_pool=False, steps=[record])
    text = json.dumps(kept.model_dump(mode="json"))
    assert transcript.Transcript.model_validate_json(text).steps[0].facts().failure == record.facts().failure


def _stacked(data: bytes) -> None:
    found, _ = transcript.records(data)
    transcript.stacked(found, found)


def _gone(data: bytes) -> None:
    found, _ = transcript.records(data)
    listings.gone(found, listings.children(["tools/perf/a.c", "tools/perf/b.c"]))


def _many_records(size: int) -> bytes:
    lines = samples.records().splitlines(keepends=True)
    processes = [line for line in lines if line.startswith(b'["process"')]
    facts = json.loads(processes[0])[2]
    count = size // len(processes[0])
    return b"".join(
        json.dumps(["process", number, {**facts, "parent": None}]).encode() + b"\n" for number in range(count)
    )


def _log(data: bytes) -> None:
    transcript.trouble(data.decode("utf-8", "replace"))


def _elf(data: bytes) -> None:
    found = elf.facts("/out/perf", data)
    assert "MemoryError" not in found.error, found.error
    found.model_dump_json()


def _header(sections: int, offset: int, *, kind: int = 3, names: int = 0) -> bytes:
    """Return the header of an ELF file (64 bits, x86-64) whose section headers begin at an offset."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", kind, 62, 1, 0, 0, offset, 0, 64, 56, 0, 64, sections, names)


def _section(
    kind: int, offset: int, size: int, *, flags: int = 2, link: int = 0, info: int = 0, entry: int = 24, name: int = 0
) -> bytes:
    return struct.pack("<IIQQQQIIQQ", name, kind, flags, 4096, offset, size, link, info, 8, entry)


NULL, SYMTAB, STRTAB, RELA, RELR = 0, 2, 3, 4, 19


def _image(content: bytes, *sections: bytes) -> bytes:
    at = 64 + len(content)
    return _header(len(sections), at) + content + b"".join(sections)


def small_elf(kind: int = 3) -> bytes:
    """Return an ELF file with a symbol, relocations of both forms, and their names."""
    strings = b"\0.symtab\0.strtab\0.rela.dyn\0.relr.dyn\0.data\0big_c_string\0"
    symbol = struct.pack("<IBBHQQ", strings.index(b"big"), 1, 0, 5, 4096, 64)
    rela = struct.pack("<QQq", 4096, 8, 0) + struct.pack("<QQq", 4104, 8, 0)
    relr = struct.pack("<QQ", 4112, 0b1011)
    parts = [strings, bytes(24) + symbol, rela, relr, bytes(64)]
    offsets = [64 + sum(map(len, parts[:number])) for number in range(5)]
    headers = [
        bytes(64),
        _section(STRTAB, offsets[0], len(strings), flags=0, name=strings.index(b".strtab")),
        _section(SYMTAB, offsets[1], 48, flags=0, link=1, name=strings.index(b".symtab")),
        _section(RELA, offsets[2], 48, link=2, info=5, name=strings.index(b".rela")),
        _section(RELR, offsets[3], 16, entry=8, name=strings.index(b".relr")),
        _section(1, offsets[4], 64, flags=3, name=strings.index(b".data")),
    ]
    content = b"".join(parts)
    return _header(len(headers), 64 + len(content), kind=kind, names=1) + content + b"".join(headers)


def overlapping_sections(size: int) -> bytes:
    """Return a file half of which is section headers, each of which has the other half as its relocations."""
    half = size // 2
    count = min(half // 64, 60000)
    return _image(bytes(half), bytes(64), *[_section(RELA, 64, half // 24 * 24, link=0)] * count)


def _long_names(size: int) -> bytes:
    """Return a file half of which is a string without an end, which is the name of every symbol of the other half."""
    half = size // 2
    symbols = struct.pack("<IBBHQQ", 1, 1, 0, 1, 0, 0) * (half // 24)
    text = b"\0.symtab\0" + b"a" * half + b"\0"
    symbols = struct.pack("<IBBHQQ", 9, 1, 0, 1, 0, 0) * (half // 24)
    return (
        _header(3, 64 + len(text) + len(symbols), names=2)
        + text
        + symbols
        + bytes(64)
        + _section(SYMTAB, 64 + len(text), len(symbols), flags=0, link=2, name=1)
        + _section(STRTAB, 64, len(text), flags=0)
    )


def _bitmaps(size: int) -> bytes:
    return _image(
        struct.pack("<Q", 4096) + b"\xff" * (size // 8 * 8), bytes(64), _section(RELR, 64, 8 + size // 8 * 8, entry=8)
    )


def _database(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for database in make_database.parse(text.splitlines()):
        database.below("all")


DATABASE = b"""# Make data base, printed on Mon
CURDIR := /src/tools/perf
# Files
# Not a target:
a.c:
perf: a.o | out
#  Phony target
#  recipe to execute (from 'Makefile.perf', line 3):
\tgcc a.o
a.o:: a.c
# Finished Make data base on Mon
"""


def _rules(size: int) -> bytes:
    rules = b"".join(b"t%d: t%d t%d\n" % (number, number + 1, number + 2) for number in range(size // 20))
    return DATABASE.replace(b"# Not a target:", rules.replace(b"t0:", b"all:", 1) + b"# Not a target:")


def _ignore(data: bytes) -> None:
    text, _, path = data.decode("utf-8", "replace").partition("\0")
    gitignore.covered(path.strip("/") or "a/b.o", {"": text, "a": text})


def _stars(size: int) -> bytes:
    return b"*a" * (size // 8) + b"b\0" + b"a" * (size - size // 4)


def _feature_lines(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    perf.feature_test(text)
    perf.feature_target(text)
    with contextlib.suppress(ValueError):  # its bounds
        perf.compact_tables(data)
    perf.is_generator(tuple(text.split()))
    perf.is_table_symbol(text)


def _outputs(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    build_check.tests(text)
    perf.build_options(text)
    dict(build_check._FEATURE.findall(text))


def _mention(data: bytes) -> None:
    scan.mentioning(data, "evlist.h")


def _problem(error: Any) -> str:
    return first_problem(error)


RECORDS = (
    samples.records("rebuild"),
    b'["end", {"oom_kills": 0, "fork_failures": 0}]\n',
    b'["listing", "tools/perf", ["a.c"]]\n',
)
TESTS = b"  7: Parsing  :\n  7.2: a name : Ok\n  8: x : Skip (no y)\r  8: x : FAILED!\n"
OPTIONS = b"perf version 7.3\n      aio: [ on  ]  # HAVE_AIO\n   libbfd: [ OFF ]\nfeature-libelf=1\n"

TARGETS = (
    Target(
        "agent-records",
        _records,
        RECORDS,
        growing={"processes": _many_records, "lines": lambda size: b"[]\n" * (size // 3)},
        words=(
            b'["process", 0, {}]\n',
            b'["file", "output", "a", {}]\n',
            b'["command", {}]\n',
            b'["mention", "source", ".", []]\n',
        ),
        cost=8,
    ),
    Target(
        "stacked-records",
        _stacked,
        RECORDS,
        own=(ValueError,),
        words=(b'["process"]\n', b'["process", 1, {"parent": 0}]\n'),
    ),
    Target("listings", _gone, RECORDS, own=(ValueError,), words=(b'["listing"]\n', b'["listing", [], [[]]]\n')),
    Target(
        "log",
        _log,
        (b"gcc: error: x\nmake: *** [a] Error 1\n",),
        growing={"words": lambda size: b"error" * (size // 5) + b"x", "lines": lambda size: b"error\n" * (size // 6)},
    ),
    Target(
        "elf",
        _elf,
        (small_elf(), small_elf(1)),
        cost=6,
        words=(
            struct.pack("<Q", 0),
            struct.pack("<Q", 1),
            struct.pack("<I", 4),
            struct.pack("<I", 19),
            struct.pack("<H", 65535),
        ),
        growing={
            "overlapping sections": lambda size: overlapping_sections(3 * size),
            "names": _long_names,
            "bitmaps": _bitmaps,
        },
    ),
    Target(
        "make-database",
        _database,
        (DATABASE,),
        own=(ValueError,),
        words=(
            b"# Files\n",
            b"# Not a target:\n",
            b"# Make data base, printed on ",
            b"# Finished Make data base on ",
            b":",
            b"::",
            b"|",
        ),
        growing={
            "rules": _rules,
            "colons": lambda size: DATABASE[:70] + b"# Files\n" + b"a" + b" :" * size,
            "prerequisites": lambda size: (
                DATABASE[:70] + b"# Files\na: " + b"a " * size + b"\n# Finished Make data base on "
            ),
        },
    ),
    Target(
        "gitignore",
        _ignore,
        (b"*.o\n!a.o\n/x/\n[a-z]*\n**/y\n\0a/b.o",),
        words=(b"!", b"*", b"**", b"[z-a]", b"[", b"\\", b"/", b"/*\n"),
        growing={
            "stars": _stars,
            "folders": lambda size: b"*.x\n\0" + b"a/" * (size // 2) + b"b",
            "lines": lambda size: b"*.x\n" * (size // 4) + b"\0a/b.o",
        },
    ),
    Target(
        "generated-sources",
        _feature_lines,
        (
            b"static const struct compact_pmu_event pmu_events__x[] = {\n",
            b"/o/feature/test-libelf.make.output",
            b"x/test-all.bin y",
        ),
        words=(b"/feature/test-", b".bin", b".c", b"pmu_metrics__"),
        growing={
            "tests": lambda size: b"/feature/test-" + b"." * size,
            "targets": lambda size: b"test-a." * (size // 7),
            "tables": lambda size: b"static const struct compact_pmu_event pmu_events__" + b"x" * size,
        },
    ),
    Target(
        "perf-output",
        _outputs,
        (TESTS, OPTIONS),
        words=(b": [ on ]", b" : ", b"\r", b"\x1b[0m", b"1.", b": Ok\n"),
        growing={
            "a line": lambda size: b"a" * size,
            "blank lines": lambda size: b"\n" * size,
            "blanks": lambda size: b"1: " + b" " * size + b"x",
            "colons": lambda size: b"1: " + b" :" * (size // 2) + b"x",
            "numbers": lambda size: b"1." * (size // 2),
            "returns": lambda size: b"a\r" * (size // 2) + b"\n",
            "tests": lambda size: TESTS * (size // len(TESTS)),
            "escapes": lambda size: b"\x1b[" * (size // 2),
            "colours": lambda size: b"\x1b[" + b"0;" * (size // 2),
        },
    ),
    Target(
        "cmd-file",
        _mention,
        (b"cmd_a.o := gcc -c a.c\n\ndeps_a.o := a.c $(wildcard evlist.h) util/evlist.h \\\n",),
        words=(b"evlist.h", b"evlist.hh", b" "),
        growing={
            "names": lambda size: b"evlist.h" * (size // 8) + b"x",
            "words": lambda size: b"evlist.h " * (size // 9),
        },
    ),
)
