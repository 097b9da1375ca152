"""relocations: the event tables' big string and compact tables need none, in the object and in the program."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from matrix.checks import Check, Examined
from matrix.model.result import Finding
from matrix.scenario import perf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.elf import ElfFacts
    from matrix.scenario.observations import Observations

PROGRAM, TABLES, UNIT = perf.PROGRAM, posixpath.basename(perf.TABLES_OBJECT), posixpath.basename(perf.STRING_OBJECT)


def _unit(facts: ElfFacts) -> Iterator[Finding]:
    """Yield every section of the string's own unit that has a relocation."""
    for section, count in facts.relocations.items():
        yield Finding(
            kind="relocated-unit",
            subject=f"{facts.path.rpartition('/')[2]}:{section}",
            expected="no relocation in the unit that holds the big string",
            actual=f"{count} relocations apply to {section}",
        )


def _symbols(facts: ElfFacts, compact: frozenset[str]) -> Iterator[Finding]:
    for symbol in facts.symbols:
        if symbol.relocations and (symbol.name in compact or symbol.name == perf.STRING_SYMBOL):
            yield Finding(
                kind="relocated",
                subject=f"{facts.path.rpartition('/')[2]}:{symbol.name}",
                expected="no relocation within the symbol's range",
                actual=f"{symbol.relocations} in {symbol.size_bytes} bytes of {symbol.section}",
            )


def _examine(observations: Observations) -> Examined:
    program = observations.elf.get(f"{observations.output}/{perf.PROGRAM}")
    table = observations.elf.get(f"{observations.output}/{perf.TABLES_OBJECT}")
    unit = observations.elf.get(f"{observations.output}/{perf.STRING_OBJECT}")
    compact = frozenset(observations.compact_tables)
    findings: list[Finding] = []
    for name, facts in ((PROGRAM, program), (TABLES, table), (UNIT, unit)):
        if (facts is None and name != UNIT) or (facts is not None and facts.error):
            actual = facts.error if facts else "it is not there"
            findings.append(Finding(kind="unreadable", subject=name, expected="an ELF file", actual=actual))
    if unit is None and observations.scenario.cell.tree.string_unit:
        expected = "a unit of its own for the big string, as the tree's file says"
        findings.append(Finding(kind="no-unit", subject=UNIT, expected=expected, actual="there is none"))
    judged = [facts for facts in (program, table, unit) if facts is not None and not facts.error]
    for facts in judged:
        findings += _symbols(facts, compact)
    if unit is not None:
        findings += _unit(unit)
    names = {symbol.name for facts in judged for symbol in facts.symbols}
    found = names & compact
    for facts in (program, table):
        if facts is not None and not facts.error and (lost := compact - {symbol.name for symbol in facts.symbols}):
            findings.append(_lost(facts, sorted(lost)))
    if unit is not None and perf.STRING_SYMBOL not in names:
        findings.append(
            Finding(
                kind="no-symbol", subject=perf.STRING_SYMBOL, expected="a symbol of this name", actual="there is none"
            )
        )
    return Examined(tuple(findings), len(found), _figures(table, program, unit, compact, len(found)))


def _lost(facts: ElfFacts, names: list[str]) -> Finding:
    return Finding(
        kind="no-symbol",
        subject=f"{facts.path.rpartition('/')[2]}: compact tables",
        expected=f"a symbol for each table in {posixpath.basename(perf.TABLES_SOURCE)}",
        actual=f"{len(names)} have none: {', '.join(names[:3])}",
    )


def _figures(
    table: ElfFacts | None,
    program: ElfFacts | None,
    unit: ElfFacts | None,
    compact: frozenset[str],
    examined: int,
) -> dict[str, int | float | str]:
    figures: dict[str, int | float | str] = {
        "compact tables": examined,
        "the string's unit": "its own" if unit else f"{TABLES}, static beside the tables",
    }
    for name, facts in ((TABLES, table), (PROGRAM, program)):
        if facts:
            figures |= {f"{name} {section}": count for section, count in facts.relocations.items()}
    if table:
        rest = sorted(
            ((s.relocations, s.name) for s in table.symbols if s.relocations and s.name not in compact),
            reverse=True,
        )
        figures["most relocated symbols"] = ", ".join(f"{name} {count}" for count, name in rest[:5])
    return figures


CHECK = Check(
    name="relocations",
    summary="the big string and the compact event tables need no relocation, by symbol range",
    owns=(),
    needs=("build", "self-test"),
    examine=_examine,
)
