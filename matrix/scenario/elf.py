"""Facts of an ELF file: what links it, and where its relocations fall. Pure; the bytes are untrusted."""

from __future__ import annotations

import bisect
import io
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection, RelrRelocationSection
from elftools.elf.sections import SymbolTableSection
from pydantic import Field

from matrix.model.base import Frozen
from matrix.scenario import perf


class Symbol(Frozen):
    """A data symbol with the number of relocations that fall into its range."""

    name: str
    section: str
    size_bytes: int
    relocations: int


class ElfFacts(Frozen):
    """What is kept of one ELF file.

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
    by_section: dict[int, list[int]] = {}
    counts: dict[str, int] = {}
    relocatable = elf["e_type"] == "ET_REL"
    for section in sections:
        if isinstance(section, RelocationSection | RelrRelocationSection) and _loaded(
            sections, section, relocatable=relocatable
        ):
            offsets = [entry["r_offset"] for entry in section.iter_relocations()]
            for index, offset in _placed(sections, section, offsets, relocatable=relocatable):
                by_section.setdefault(index, []).append(offset)
    for index, offsets in by_section.items():
        offsets.sort()
        name = sections[index].name if index >= 0 else "?"
        counts[name] = counts.get(name, 0) + len(offsets)
    kinds = {segment["p_type"] for segment in elf.iter_segments()}
    return ElfFacts(
        path=path,
        kind=str(elf["e_type"]),
        interpreter="PT_INTERP" in kinds,
        dynamic="PT_DYNAMIC" in kinds,
        relocations=dict(sorted(counts.items())),
        symbols=tuple(_symbols(sections, by_section)),
    )


def _loaded(sections: list[Any], section: Any, *, relocatable: bool) -> bool:
    """Return whether a section's relocations are for what is loaded: those of debug information are the linker's."""
    target = sections[section["sh_info"]] if relocatable else section
    return bool(target["sh_flags"] & 2)


def _placed(sections: list[Any], section: Any, offsets: list[int], *, relocatable: bool) -> list[tuple[int, int]]:
    """Pair each offset with the section it falls into: in an object `sh_info` names it, else the address does."""
    if relocatable:
        return [(section["sh_info"], offset) for offset in offsets]
    loaded = [
        (s["sh_addr"], s["sh_size"], i)
        for i, s in enumerate(sections)
        if s["sh_flags"] & 2 and s["sh_addr"] and not (s["sh_flags"] & 0x400 and s["sh_type"] == "SHT_NOBITS")
    ]
    loaded.sort()
    starts = [start for start, _, _ in loaded]
    placed = []
    for offset in offsets:
        position = bisect.bisect_right(starts, offset) - 1
        start, size, index = loaded[position] if position >= 0 else (0, 0, -1)
        placed.append((index if start <= offset < start + size else -1, offset))
    return placed


def _symbols(sections: list[Any], by_section: dict[int, list[int]]) -> list[Symbol]:
    found: dict[tuple[str, int], Symbol] = {}
    table = next((s for s in sections if isinstance(s, SymbolTableSection) and s.name == ".symtab"), None)
    for symbol in table.iter_symbols() if table else ():
        index = symbol["st_shndx"]
        if symbol["st_info"]["type"] != "STT_OBJECT" or not isinstance(index, int):
            continue
        offsets = by_section.get(index, [])
        start, size = symbol["st_value"], symbol["st_size"]
        count = bisect.bisect_left(offsets, start + size) - bisect.bisect_left(offsets, start)
        if count or perf.is_table_symbol(symbol.name):
            fact = Symbol(name=symbol.name, section=sections[index].name, size_bytes=size, relocations=count)
            found[symbol.name, start] = fact
    return [found[key] for key in sorted(found)]
