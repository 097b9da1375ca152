"""Files of a build that are made to take the memory, the time or the disk of the machine that reads them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from matrix.runs import parsing
from matrix.runs.confinement import Bounds
from matrix.scenario import make_database

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = Bounds(memory_bytes=64 << 20, cpu_s=20, output_bytes=8 << 10)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "BOUNDS", SMALL)


def elf(kind: int, content: bytes, entry_bytes: int, flags: int = 2) -> bytes:
    """Return an ELF file of one section of a kind, beside the section of names."""
    names = b"\0.relr.dyn\0.names\0"
    at = 64 + len(content)
    sections = b"".join(
        struct.pack("<IIQQQQIIQQ", *section)
        for section in (
            (0,) * 10,
            (1, kind, flags, 0x1000, 64, len(content), 0, 0, 8, entry_bytes),
            (11, 3, 0, 0, at, len(names), 0, 0, 1, 0),
        )
    )
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, at + len(names), 0, 64, 56, 0, 64, 3, 2)
    return ident + header + content + names + sections


RELR = 19
ALL_RELOCATED = struct.pack("<Q", 0x1000) + b"\xff" * (96 << 10)
"""One address, and bits that say that each of the words behind it is relocated: 63 for each eight bytes."""


def test_a_few_relocations_are_counted() -> None:
    found = parsing.elf_facts("/out/perf", elf(RELR, struct.pack("<QQ", 0x1000, 0b111), 8))
    assert (found.error, found.relocations) == ("", {".relr.dyn": 2, "?": 1})


def test_relocations_that_fill_the_memory_are_the_files_error() -> None:
    found = parsing.elf_facts("/out/perf", elf(RELR, ALL_RELOCATED, 8))
    assert found.error == "not to be read within 64 MiB of memory, the limit on memory"


def test_no_more_than_a_limit_of_a_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "FILE_BYTES", 1 << 20)
    found = parsing.elf_facts("/out/perf", bytes(1 << 20))
    assert found.error == "it has 1 MiB or more, the limit on a file that is read"


def printed(*lines: str) -> bytes:
    return "\n".join(
        ["# Make data base, printed on today", "# Files", *lines, "# Finished Make data base on today"]
    ).encode()


def test_a_data_base_is_what_make_printed() -> None:
    [found] = parsing.databases(printed("a: b", "b:"))
    assert found.rules["a"].needs == ("b",)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a rule for each of a million targets": (
        lambda: printed(*(f"{number}:" for number in range(make_database.MOST_RULES + 1))),
        "make's data bases have more than 100000 rules",
    ),
    "one rule with millions of prerequisites": (
        lambda: printed("a: " + " ".join(map(str, range(700_000)))),
        "make's data bases: not to be read within 64 MiB of memory, the limit on memory",
    ),
    "rules that are too many for a transcript": (
        lambda: printed(*(f"target-{number}:" for number in range(1000))),
        "make's data bases: not to be read within a result of 8 KiB, the limit on result-size",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_data_base_past_a_limit_is_refused_with_its_name(name: str) -> None:
    make, message = HOSTILE[name]
    with pytest.raises(ValueError, match=message):
        parsing.databases(make())
