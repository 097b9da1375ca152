"""Facts of an ELF file: what links it, and where its relocations fall. Pure; the bytes are untrusted."""

from __future__ import annotations

import bisect
import io
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection, RelrRelocationSection
from elftools.elf.sections import SymbolTableSection
from pydantic import Field

from matrix.model.base import Frozen
from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Iterator


class Symbol(Frozen):
    """A data symbol with the number of relocations that fall into its range."""

    name: str
    section: str
    size_bytes: int
    relocations: int


class ElfFacts(Frozen):
    """The facts that are kept of one ELF file.

    `relocations` counts by the section they apply to; `symbols` holds the event tables and the big string, and
    every other data symbol that has a relocation.
    """

    path: str
    error: str = ""
    kind: str = ""
    interpreter: bool = False
    dynamic: bool = False
    relocations: dict[str, int] = Field(default_factory=dict)
    symbols: tuple[Symbol, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The names of the symbols that are kept."""
        return frozenset(symbol.name for symbol in self.symbols)


def facts(path: str, content: bytes) -> ElfFacts:
    """Return the facts of an ELF file's content; where it cannot be read, with `error` saying why.

    Format: System V ABI, chapters 4 and 5 (sections, symbols, relocations).
    """
    try:
        return _facts(path, content)
    except Exception as error:  # noqa: BLE001 - what pyelftools raises on hostile bytes is anything
        return ElfFacts(path=path, error=f"{type(error).__name__}: {error}")


def _facts(path: str, content: bytes) -> ElfFacts:
    elf = ELFFile(io.BytesIO(content))
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
    """Map the index of each section to the sorted offsets of its relocations; -1 is for those that fall into none."""
    found: dict[int, list[int]] = defaultdict(list)
    place = _in_named_section if relocatable else _InMemory(sections).place
    for section in filter(_holds_relocations, sections):
        if _is_loaded(sections, section, relocatable=relocatable):
            for entry in section.iter_relocations():
                offset = entry["r_offset"]
                found[place(section, offset)].append(offset)
    return {index: sorted(offsets) for index, offsets in found.items()}


def _holds_relocations(section: Any) -> bool:
    return isinstance(section, RelocationSection | RelrRelocationSection)


def _is_loaded(sections: list[Any], section: Any, *, relocatable: bool) -> bool:
    """Return whether a section's relocations are for what is loaded: those of debug information are the linker's."""
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
        """Return whether a section occupies memory: `.tbss` has an address there and takes no room."""
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
    """Yield the symbols of data that lie in a section."""
    for table in sections:
        if isinstance(table, SymbolTableSection) and table.name == ".symtab":
            yield from filter(_is_data, table.iter_symbols())


def _is_data(symbol: Any) -> bool:
    is_absolute = not isinstance(symbol["st_shndx"], int)
    return symbol["st_info"]["type"] == "STT_OBJECT" and not is_absolute


def _within(offsets: list[int], start: int, end: int) -> int:
    """Return how many of the sorted offsets lie in a range."""
    return bisect.bisect_left(offsets, end) - bisect.bisect_left(offsets, start)
