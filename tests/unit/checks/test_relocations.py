from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matrix.checks import registry
from matrix.model.result import Verdict
from matrix.scenario.elf_facts import ElfFacts, Symbol
from matrix.verdicts import judge
from tests.unit.conftest import PERF, build, cell, elf, observations, tree

if TYPE_CHECKING:
    from matrix.model.result import CheckResult

OBJECT, UNIT, PROGRAM = f"{PERF}/pmu-events/pmu-events.o", f"{PERF}/pmu-events/pmu-events-string.o", f"{PERF}/perf"
TABLE = "pmu_events__skylake"


def symbol(name: str, relocations: int = 0) -> Symbol:
    return Symbol(name=name, section=".rodata", size_bytes=12, relocations=relocations)


GOOD = (symbol(TABLE), symbol("big_c_string"))


def examined(*files: dict[str, ElfFacts], tables: tuple[str, ...] = (TABLE,)) -> CheckResult:
    found: dict[str, Any] = {path: facts for one in files for path, facts in one.items()}
    return judge.check_result(registry()["relocations"], observations(elf=found, compact_tables=tables), [])


def keys(result: CheckResult) -> list[str]:
    return [finding.key for finding in result.findings]


def test_tables_and_string_without_relocations_pass() -> None:
    result = examined(elf(PROGRAM, *GOOD), elf(OBJECT, *GOOD))
    assert (result.verdict, result.examined) == (Verdict.PASS, 1)
    assert result.figures["the string's unit"] == "pmu-events.o, static beside the tables"


def test_a_string_in_a_unit_of_its_own_without_relocations_passes() -> None:
    result = examined(elf(PROGRAM, *GOOD), elf(OBJECT, *GOOD[:1]), elf(UNIT, *GOOD[1:]))
    assert (result.verdict, result.figures["the string's unit"]) == (Verdict.PASS, "its own")


@pytest.mark.parametrize(("value", "verdict"), [("1", Verdict.SKIP), ("0", Verdict.FAIL)])
def test_a_build_without_event_tables_has_none_to_look_at(value: str, verdict: Verdict) -> None:
    of = cell(what=build(make={"NO_JEVENTS": value}))
    assert judge.check_result(registry()["relocations"], observations(of), []).verdict is verdict


def test_other_symbols_may_be_relocated_and_are_told() -> None:
    more = (symbol("pmu_events_map", 40), symbol("few", 2))
    result = examined(elf(PROGRAM, *GOOD), elf(OBJECT, *GOOD, *more, relocations={".data": 42}))
    assert result.verdict is Verdict.PASS
    assert result.figures["most relocated symbols"] == "pmu_events_map 40, few 2"
    assert result.figures["pmu-events.o .data"] == 42


def test_a_relocation_in_a_compact_table_is_a_finding() -> None:
    result = examined(elf(PROGRAM, *GOOD), elf(OBJECT, symbol(TABLE, 3), GOOD[1]))
    assert keys(result) == [f"relocated:pmu-events.o:{TABLE}"]
    assert result.findings[0].actual == "3 in 12 bytes of .rodata"


def test_a_relocation_in_the_big_string_is_a_finding() -> None:
    assert keys(examined(elf(PROGRAM, GOOD[0], symbol("big_c_string", 1)), elf(OBJECT, *GOOD))) == [
        "relocated:perf:big_c_string"
    ]


def test_a_relocation_anywhere_in_the_strings_own_unit_is_a_finding() -> None:
    unit = elf(UNIT, GOOD[1], relocations={".rodata": 2})
    result = examined(elf(PROGRAM, *GOOD), elf(OBJECT, *GOOD), unit)
    assert keys(result) == ["relocated-unit:pmu-events-string.o:.rodata"]


def test_a_table_without_a_symbol_is_a_finding() -> None:
    result = examined(elf(PROGRAM, *GOOD), elf(OBJECT, *GOOD), tables=(TABLE, "pmu_events__lost"))
    assert keys(result) == ["no-symbol:perf: compact tables", "no-symbol:pmu-events.o: compact tables"]


def test_a_table_that_only_the_object_still_names_was_not_examined_in_the_program() -> None:
    result = examined(elf(PROGRAM, GOOD[1]), elf(OBJECT, *GOOD))
    assert keys(result) == ["no-symbol:perf: compact tables"]


def test_the_first_table_that_is_lost_is_named() -> None:
    result = examined(elf(PROGRAM, *GOOD), elf(OBJECT, *GOOD), tables=(TABLE, "pmu_events__lost"))
    assert result.findings[0].actual == "1 have none: pmu_events__lost"


def test_a_unit_without_the_string_is_a_finding() -> None:
    result = examined(elf(PROGRAM, GOOD[0]), elf(OBJECT, GOOD[0]), elf(UNIT))
    assert keys(result) == ["no-symbol:big_c_string"]


def test_files_that_are_not_there_or_cannot_be_read_are_findings() -> None:
    result = examined(elf(PROGRAM, *GOOD), elf(OBJECT, error="ELFError: x"))
    assert keys(result) == ["unreadable:pmu-events.o"]
    assert result.findings[0].actual == "ELFError: x"
    assert keys(examined(elf(OBJECT, *GOOD))) == ["unreadable:perf"]


def test_a_strings_unit_that_cannot_be_read_is_a_finding() -> None:
    result = examined(elf(PROGRAM, *GOOD), elf(OBJECT, *GOOD), elf(UNIT, error="ELFError: x"))
    assert keys(result) == ["unreadable:pmu-events-string.o"]


def test_where_nothing_can_be_read_that_is_told() -> None:
    result = examined()
    assert result.verdict is Verdict.FAIL
    assert "unreadable:perf" in keys(result)


def test_a_tree_without_compact_tables_proves_nothing() -> None:
    assert examined(elf(PROGRAM, *GOOD), elf(OBJECT, *GOOD), tables=()).verdict is Verdict.FAIL


def test_without_a_build_the_check_is_skipped() -> None:
    seen = observations(errors={"build": "the container ended"})
    assert judge.check_result(registry()["relocations"], seen, []).verdict is Verdict.SKIP


def test_a_tree_that_is_to_have_a_unit_for_the_string_must_have_it() -> None:
    split = cell(on=tree(string_unit=True))
    facts = {**elf(PROGRAM, *GOOD), **elf(OBJECT, *GOOD)}
    result = judge.check_result(registry()["relocations"], observations(split, elf=facts, compact_tables=(TABLE,)), [])
    assert keys(result) == ["no-unit:pmu-events-string.o"]
    facts |= elf(UNIT, *GOOD[1:])
    assert (
        judge.check_result(
            registry()["relocations"], observations(split, elf=facts, compact_tables=(TABLE,)), []
        ).findings
        == ()
    )
