"""Reads the facts of an ELF file: whether a dynamic linker loads it, and which sections and symbols it relocates. Pure.

The bytes are untrusted. Format: System V ABI, chapter 4 (sections, symbol table, relocation) and chapter 5 (program
header, dynamic linking); elf(5) has the same structures. The words in capitals are theirs.
"""

from __future__ import annotations

import bisect
import io
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection, RelrRelocationSection
from elftools.elf.sections import SymbolTableSection

from matrix.scenario import perf
from matrix.scenario.elf_facts import ElfFacts, Symbol

if TYPE_CHECKING:
    from collections.abc import Iterator


READS = 8
"""The most times that a file is read over: symbols take four, and sections that overlap thousands."""
LEAST_READS_BYTES = 16 << 10
"""The bytes that may be read of a file however small, as each name is read 64 bytes at a time."""


class _BoundedReads(io.BytesIO):
    """The content of a file of which no more is read, all together, than READS times its length.

    Thousands of sections may be said to lie at one place, and one name without an end may be that of every symbol.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left_bytes = READS * len(content) + LEAST_READS_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes.

        Raises:
            ValueError: more was read of the file than of any whose sections lie side by side.

        """
        block = super().read(size)
        self._left_bytes -= len(block)
        if self._left_bytes < 0:
            raise ValueError(f"its sections overlap: it would be read more than {READS} times")
        return block


def facts(path: str, content: bytes) -> ElfFacts:
    """Return the facts of an ELF file's content; of a file that cannot be read, with its `error`."""
    try:
        return _facts(path, content)
    except (MemoryError, RecursionError):  # the limits of the process that reads it
        raise
    except Exception as error:  # noqa: BLE001 - what pyelftools raises on hostile bytes is anything
        return ElfFacts(path=path, error=f"{type(error).__name__}: {error}")


def _facts(path: str, content: bytes) -> ElfFacts:
    elf = ELFFile(_BoundedReads(content))
    sections = list(elf.iter_sections())
    offsets = _relocated_offsets(sections, relocatable=elf["e_type"] == "ET_REL")
    segments = {segment["p_type"] for segment in elf.iter_segments()}
    return ElfFacts(
        path=path,
        kind=str(elf["e_type"]),
        interpreter="PT_INTERP" in segments,
        dynamic="PT_DYNAMIC" in segments,
        relocations=_counts(sections, offsets),
        symbols=tuple(_symbols(sections, offsets)),
    )


def _relocated_offsets(sections: list[Any], *, relocatable: bool) -> dict[int, list[int]]:
    """Return the sorted offsets of relocations by the index of their section, -1 for relocations in no section.

    An r_offset is relative to its section in an object (ET_REL), and an address in a program or library.
    """
    found: dict[int, list[int]] = defaultdict(list)
    place = _in_named_section if relocatable else _InMemory(sections).place
    for section in filter(_holds_relocations, sections):
        if _is_loaded(sections, section, relocatable=relocatable):
            for entry in section.iter_relocations():
                offset = entry["r_offset"]
                found[place(section, offset)].append(offset)
    return {index: sorted(offsets) for index, offsets in found.items()}


def _holds_relocations(section: Any) -> bool:
    # A newer linker may pack most of a program's relocations into RELR (ld(1), -z pack-relative-relocs).
    return isinstance(section, RelocationSection | RelrRelocationSection)


def _is_loaded(sections: list[Any], section: Any, *, relocatable: bool) -> bool:
    """Return whether a section's relocations apply to loaded sections: those of debug information cost a start nothing.

    Of an object the section that `sh_info` names is asked, of a program the table itself, which ld.so must read.
    """
    target = sections[section["sh_info"]] if relocatable else section
    return bool(target["sh_flags"] & SH_FLAGS.SHF_ALLOC)


def _in_named_section(section: Any, _offset: int) -> int:
    """Return the section that a relocation of an object is for: `sh_info` names it."""
    return int(section["sh_info"])


class _InMemory:
    """The sections of a program or library by their addresses in memory."""

    def __init__(self, sections: list[Any]) -> None:
        loaded = [(section["sh_addr"], index) for index, section in enumerate(sections) if self._has_address(section)]
        self.sections = sections
        self.indexes = [index for _, index in sorted(loaded)]
        self.starts = sorted(start for start, _ in loaded)

    @staticmethod
    def _has_address(section: Any) -> bool:
        """Return whether a section occupies memory at its address.

        `.tbss` (SHF_TLS, SHT_NOBITS) does not: it is made anew for each thread, and its range overlaps the next
        section's.
        """
        is_tbss = section["sh_flags"] & SH_FLAGS.SHF_TLS and section["sh_type"] == "SHT_NOBITS"
        return bool(section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_addr"] and not is_tbss)

    def place(self, _section: Any, address: int) -> int:
        """Return the index of the section into which an address falls, or -1."""
        position = bisect.bisect_right(self.starts, address) - 1
        if position < 0:
            return -1
        index = self.indexes[position]
        end = self.starts[position] + self.sections[index]["sh_size"]
        return index if address < end else -1


def _counts(sections: list[Any], offsets: dict[int, list[int]]) -> dict[str, int]:
    """Return the number of relocations by the name of the section that they apply to."""
    counts: Counter[str] = Counter()
    for index, found in offsets.items():
        counts[sections[index].name if index >= 0 else "?"] += len(found)
    return dict(sorted(counts.items()))


def _symbols(sections: list[Any], offsets: dict[int, list[int]]) -> list[Symbol]:
    """Return the data symbols worth keeping, sorted by name and address."""
    found: dict[tuple[str, int], Symbol] = {}
    for symbol in _data_symbols(sections):
        index, start = symbol["st_shndx"], symbol["st_value"]
        count = _within(offsets.get(index, []), start, start + symbol["st_size"])
        if count or perf.is_table_symbol(symbol.name):
            found[symbol.name, start] = Symbol(
                name=symbol.name,
                section=sections[index].name,
                size_bytes=symbol["st_size"],
                relocations=count,
            )
    return [found[key] for key in sorted(found)]


def _data_symbols(sections: list[Any]) -> Iterator[Any]:
    """Yield the data symbols that lie in a section.

    `.symtab` has them all; `.dynsym`, if there is one, repeats those that are exported.
    """
    for table in sections:
        if isinstance(table, SymbolTableSection) and table.name == ".symtab":
            yield from filter(_is_data, table.iter_symbols())


def _is_data(symbol: Any) -> bool:
    is_absolute = not isinstance(symbol["st_shndx"], int)  # pyelftools gives SHN_ABS and SHN_UNDEF as words
    return symbol["st_info"]["type"] == "STT_OBJECT" and not is_absolute


def _within(offsets: list[int], start: int, end: int) -> int:
    """Return how many of the sorted offsets lie in a range."""
    return bisect.bisect_left(offsets, end) - bisect.bisect_left(offsets, start)
