"""The facts of an ELF file: whether a dynamic linker loads it, and the sections and symbols that it relocates. Pure.

The reader is in elf.py: only the process that reads such files needs pyelftools, which takes a tenth of a second.
"""

from __future__ import annotations

from pydantic import Field

from matrix.model.base import Frozen


class Symbol(Frozen):
    """A data symbol with the number of relocations that fall into its range."""

    name: str
    section: str
    size_bytes: int
    relocations: int


class ElfFacts(Frozen):
    """The facts that are kept of one ELF file.

    `error` is the reason why it cannot be read. `kind` is its e_type, as `ET_DYN`; `interpreter` and `dynamic` say
    whether it has such segments (PT_INTERP, PT_DYNAMIC). `relocations` maps the sections that relocations apply to, `?`
    for none, to their numbers. `symbols` are the event tables, the big string, and every other data symbol with a
    relocation in its range.
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
