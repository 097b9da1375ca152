from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from matrix.scenario import elf

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.scenario.elf_facts import ElfFacts, Symbol

TABLES = """
struct compact { int offset; };
static const struct compact pmu_events__x[] = {{1}, {2}, {3}};
const char *names[4] = {"a", "b", "c", "d"};
const char *const *pmu_metrics__pointers[1] = {(const char *const *)names};
const char big_c_string[] = "a\\0b\\0c";
int plain = 7;
const void *use(int i) { return &pmu_events__x[i]; }
"""
MAIN = "int main(void) { return plain; }\n"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "tables.c").write_text(TABLES)
    (folder / "program.c").write_text(TABLES + MAIN)
    twice = '.section .data.x,"aw",@progbits,unique,{0}\n.quad a\n'
    (folder / "twice.s").write_text(twice.format(1) + twice.format(2) + ".quad b\n")
    (folder / "absolute.s").write_text(".globl fixed\n.type fixed, @object\nfixed = 0x1000\n")
    for argv in (
        ("-c", "tables.c", "-o", "tables.o"),
        ("-c", "twice.s", "-o", "twice.o"),
        ("-c", "absolute.s", "-o", "absolute.o"),
        ("-pie", "-fPIE", "program.c", "-o", "pie"),
        ("-pie", "-fPIE", "program.c", "-o", "packed", "-Wl,-z,pack-relative-relocs"),
        ("-static", "-no-pie", "-fno-pie", "program.c", "-o", "static"),
        ("-pie", "-fPIE", "-s", "program.c", "-o", "stripped"),
    ):
        subprocess.run(["gcc", *argv], cwd=folder, check=True)
    return folder


def facts(built: Path, name: str) -> ElfFacts:
    found = elf.facts(name, (built / name).read_bytes())
    assert found.error == ""
    return found


def symbols(found: ElfFacts) -> dict[str, Symbol]:
    return {symbol.name: symbol for symbol in found.symbols}


def test_an_objects_relocations_are_counted_by_section_and_by_symbol(built: Path) -> None:
    found = facts(built, "tables.o")
    assert found.kind == "ET_REL"
    assert not found.interpreter
    assert not found.dynamic
    counts = {name: symbol.relocations for name, symbol in symbols(found).items()}
    assert counts == {"pmu_events__x": 0, "names": 4, "pmu_metrics__pointers": 1, "big_c_string": 0}
    assert symbols(found)["pmu_events__x"].size_bytes == 12
    assert sum(count for name, count in found.relocations.items() if name.startswith(".data")) == 5


def test_a_programs_relocations_are_placed_by_their_address(built: Path) -> None:
    found = facts(built, "pie")
    assert found.kind == "ET_DYN"
    assert found.interpreter
    assert found.dynamic
    counts = {name: symbol.relocations for name, symbol in symbols(found).items()}
    assert counts["names"] == 4
    assert counts["pmu_metrics__pointers"] == 1
    assert counts["pmu_events__x"] == counts["big_c_string"] == 0
    assert "plain" not in counts


def test_packed_relative_relocations_are_counted_as_any_other(built: Path) -> None:
    packed, plain = symbols(facts(built, "packed")), symbols(facts(built, "pie"))
    assert packed["names"].relocations == plain["names"].relocations


def test_a_static_program_has_no_interpreter_and_no_dynamic_section(built: Path) -> None:
    found = facts(built, "static")
    assert (found.kind, found.interpreter, found.dynamic) == ("ET_EXEC", False, False)
    assert symbols(found)["big_c_string"].relocations == 0


def test_a_stripped_program_has_no_symbols(built: Path) -> None:
    found = facts(built, "stripped")
    assert found.symbols == ()
    assert found.relocations


def test_sections_of_one_name_are_counted_together(built: Path) -> None:
    assert facts(built, "twice.o").relocations == {".data.x": 3}


def test_a_symbol_that_is_in_no_section_is_left_out(built: Path) -> None:
    assert facts(built, "absolute.o").symbols == ()


def test_a_relocation_outside_of_every_section_is_counted_as_unknown(built: Path) -> None:
    raw = bytearray((built / "pie").read_bytes())
    at = section(raw, ".rela.dyn")
    offset, size = struct.unpack_from("<QQ", raw, at + 24)
    struct.pack_into("<Q", raw, offset, 0)
    struct.pack_into("<Q", raw, offset + 24, 1 << 40)
    found = elf.facts("pie", bytes(raw))
    whole = facts(built, "pie")
    assert found.relocations["?"] == 2
    assert sum(found.relocations.values()) == sum(whole.relocations.values()) >= size // 24


def section(raw: bytearray, name: str) -> int:
    """Return where a section's header is."""
    table = struct.unpack_from("<Q", raw, 40)[0]
    count, names = struct.unpack_from("<HH", raw, 60)
    [strings] = struct.unpack_from("<Q", raw, table + 64 * names + 24)
    for at in range(table, table + 64 * count, 64):
        begin = strings + struct.unpack_from("<I", raw, at)[0]
        if raw[begin : raw.index(0, begin)].decode() == name:
            return at
    raise AssertionError(name)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n", b"\0" * 4096, b"\x7fELF" + b"\xff" * 4096])
def test_what_is_no_elf_file_says_why(content: bytes) -> None:
    found = elf.facts("x", content)
    assert found.error
    assert (found.path, found.kind, found.symbols) == ("x", "", ())


def test_a_truncated_file_says_why(built: Path) -> None:
    raw = (built / "tables.o").read_bytes()
    for size in range(0, len(raw) - 64, 97):
        assert elf.facts("x", raw[:size]).error


def test_no_corruption_of_the_headers_raises(built: Path) -> None:
    raw = (built / "tables.o").read_bytes()
    headers = struct.unpack_from("<Q", raw, 40)[0]
    for at in [*range(64), *range(headers, len(raw), 7)]:
        for value in (0x00, 0xFF):
            corrupt = bytearray(raw)
            corrupt[at] = value
            elf.facts("x", bytes(corrupt))


def test_a_relocation_section_of_a_section_that_is_not_there_is_an_error(built: Path) -> None:
    raw = bytearray((built / "twice.o").read_bytes())
    struct.pack_into("<I", raw, section(raw, ".rela.data.x") + 44, 99)
    assert elf.facts("x", bytes(raw)).error == "IndexError: list index out of range"


@pytest.mark.parametrize("limit", [MemoryError, RecursionError])
def test_a_limit_of_the_process_is_no_error_of_the_file(
    limit: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exceed(*_: object) -> None:
        raise limit

    monkeypatch.setattr(elf, "_facts", exceed)
    with pytest.raises(limit):
        elf.facts("x", b"")
