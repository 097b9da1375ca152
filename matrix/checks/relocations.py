"""relocations: the big string and the compact event tables need none, in the object and in the program.

Each relocation of a program costs the dynamic linker time at every start, and makes its page one of the process's own.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined, Figures
from matrix.model.result import Finding
from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.elf_facts import ElfFacts
    from matrix.scenario.observations import Observations

PROGRAM, TABLES, UNIT = perf.PROGRAM, posixpath.basename(perf.TABLES_OBJECT), posixpath.basename(perf.STRING_OBJECT)


def _unit(facts: ElfFacts, names: frozenset[str]) -> Iterator[Finding]:
    """Yield the sections of the string's own unit that have relocations, and the lack of the string's symbol."""
    for section, count in facts.relocations.items():
        yield Finding(
            kind="relocated-unit",
            subject=f"{posixpath.basename(facts.path)}:{section}",
            expected="no relocation in the unit that holds the big string",
            actual=f"{count} relocations apply to {section}",
        )
    # Without its symbol the string's range is not known, so that `_symbols` would find nothing whatever is relocated.
    if perf.STRING_SYMBOL not in names:
        expected = "a symbol of this name"
        yield Finding(kind="no-symbol", subject=perf.STRING_SYMBOL, expected=expected, actual="there is none")


def _symbols(facts: ElfFacts, compact: frozenset[str]) -> Iterator[Finding]:
    """Yield every compact table, and the big string, within whose range a relocation lies."""
    wanted = compact | {perf.STRING_SYMBOL}
    for symbol in facts.symbols:
        if symbol.relocations and symbol.name in wanted:
            yield Finding(
                kind="relocated",
                subject=f"{posixpath.basename(facts.path)}:{symbol.name}",
                expected="no relocation within the symbol's range",
                actual=f"{symbol.relocations} in {symbol.size_bytes} bytes of {symbol.section}",
            )


def _unreadable(name: str, facts: ElfFacts | None) -> Iterator[Finding]:
    """Yield the finding that a file is lacking or no ELF file; the string's own unit alone may be lacking."""
    lacking = "" if name == UNIT else "it is not there"
    actual = facts.error if facts else lacking
    if actual:
        yield Finding(kind="unreadable", subject=name, expected="an ELF file", actual=actual)


def _no_unit(observations: Observations) -> Iterator[Finding]:
    """Yield the finding that the string has no unit of its own, although the tree's file says that it has one."""
    if observations.scenario.cell.tree.string_unit:
        expected = "a unit of its own for the big string, as the tree's file says"
        yield Finding(kind="no-unit", subject=UNIT, expected=expected, actual="there is none")


def _lost(facts: ElfFacts, compact: frozenset[str]) -> Iterator[Finding]:
    """Yield the finding that compact tables of the generated source have no symbol, and so no range, in a file."""
    lost = sorted(compact - facts.names)
    if lost:
        yield Finding(
            kind="no-symbol",
            subject=f"{posixpath.basename(facts.path)}: compact tables",
            expected=f"a symbol for each table in {posixpath.basename(perf.TABLES_SOURCE)}",
            actual=f"{len(lost)} have none: {', '.join(lost[:3])}",
        )


def _examine(observations: Observations) -> Examined:
    if observations.scenario.cell.make.get(perf.WITHOUT_TABLES) == "1":
        return Examined(skip=f"with {perf.WITHOUT_TABLES}=1 no event table is generated")
    program = observations.elf.get(f"{observations.output}/{perf.PROGRAM}")
    table = observations.elf.get(f"{observations.output}/{perf.TABLES_OBJECT}")
    unit = observations.elf.get(f"{observations.output}/{perf.STRING_OBJECT}")
    compact = frozenset(observations.compact_tables)
    readable = [facts for facts in (program, table, unit) if facts is not None and not facts.error]
    # Of all files together: a program may be stripped, and the object still shows the string's symbol.
    names = frozenset[str]().union(*(facts.names for facts in readable))
    findings = [*_unreadable(PROGRAM, program), *_unreadable(TABLES, table), *_unreadable(UNIT, unit)]
    for facts in readable:
        findings += _symbols(facts, compact)
        if facts is not unit:
            findings += _lost(facts, compact)
    findings += _no_unit(observations) if unit is None else _unit(unit, names)
    examined = len(names & compact)
    figures: Figures = {
        "compact tables": examined,
        "the string's unit": "its own" if unit else f"{TABLES}, static beside the tables",
    }
    figures |= _relocations(TABLES, table) | _relocations(PROGRAM, program)
    if table:
        figures["most relocated symbols"] = _most_relocated(table, compact)
    return Examined(tuple(findings), examined, figures)


def _relocations(name: str, facts: ElfFacts | None) -> Figures:
    """Return the number of relocations of each section of a file."""
    sections = facts.relocations if facts else {}
    return {f"{name} {section}": count for section, count in sections.items()}


def _most_relocated(table: ElfFacts, compact: frozenset[str]) -> str:
    """Return the five symbols beside the compact tables that have the most relocations, and how many."""
    others = [symbol for symbol in table.symbols if symbol.relocations and symbol.name not in compact]
    most = sorted(((symbol.relocations, symbol.name) for symbol in others), reverse=True)
    return ", ".join(f"{name} {count}" for count, name in most[:5])


CHECK = Check(
    name="relocations",
    summary="the big string and the compact event tables need no relocation, by symbol range",
    owns=(),
    needs=("build", "self-test"),
    examine=_examine,
)
