"""Nothing but text comes of what strangers write in the table of any command."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

import pytest

from matrix import registry
from matrix.cli.options import print_parts
from matrix.model.cell_id import Place
from matrix.model.edit import Edit, Expected
from matrix.model.result import CellResult
from matrix.reports import terminal
from matrix.reports.tables import (
    claims,
    comparison,
    machine,
    mail_builds,
    mutants,
    plan,
    prediction,
    reproduction,
    runs,
    series,
)
from matrix.scenario.plan import scenario
from matrix.trace.simulation import PathItem, Prediction
from matrix.verdicts.claims import ClaimRow
from matrix.verdicts.comparison import ComparisonRun
from matrix.verdicts.ingredients import Ingredient
from matrix.verdicts.mutants import MutantsResult
from matrix.verdicts.reproduction import Reproduction
from matrix.verdicts.series import SeriesResult
from tests.hostile import shown
from tests.hostile.foreign_text import BENIGN, EVERYTHING, NAME, TEXTS, noun, variants
from tests.unit.conftest import cell, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matrix.reports.tables import Part

WIDE = 1 << 20
"""Columns of a terminal on which no table folds a word."""


def predicted(text: str) -> Iterable[Part]:
    path = (PathItem(name=text, process=1, wall_s=5.0, waited_for=text),)
    one = Prediction(jobs=1, wall_s=11.0, work_s=10.0, use=0.5, path=path)
    return prediction.parts({1: one, 64: one}, {1: 10.0}, one, (2, 9))


def needed(text: str) -> Iterable[Part]:
    class Need:
        what = found = text
        is_met = False

    class Removable:
        kind = name = purpose = text
        size_bytes = 1

    yield machine.needs([Need()])
    yield from machine.removals([Removable()], dry_run=True)


def planned(text: str) -> Iterable[Part]:
    one = cell(on=tree(NAME, source=text, summary=text))
    found = scenario(one)
    step = found.steps[0].model_copy(update={"summary": text, "environment": {text: text}})
    return plan.lines(found.model_copy(update={"steps": (step, *found.steps[1:])}), text)


def planted(text: str) -> Iterable[Part]:
    yield from mutants.parts(noun(MutantsResult, text))
    expect = Expected(check=NAME, cells=(Place("i/t/b"),), findings=(text,)).model_copy(update={"check": text})
    yield from mutants.fault_lines([Edit(name=NAME, summary=text, trees=("*",), expect=expect)])


def reproduced(text: str) -> Iterable[Part]:
    now = noun(CellResult, text)
    return reproduction.parts(variants(Ingredient, text), noun(Reproduction, text), now, text, text)


TABLES: dict[str, Callable[[str], Iterable[Part]]] = {
    "claims": lambda text: claims.parts(variants(ClaimRow, text), text, text),
    "comparison": lambda text: comparison.parts(noun(ComparisonRun, text)),
    "machine": needed,
    "mail_builds": lambda text: mail_builds.parts([mail_builds.Proposal(3, text, text, (text,))], [(4, text)], [text]),
    "mutants": planted,
    "plan": planned,
    "prediction": predicted,
    "reproduction": reproduced,
    "runs": lambda text: runs.parts(variants(runs.RunRow, text), 3),
    "series": lambda text: series.parts(noun(SeriesResult, text)),
}


def printed(parts: Iterable[Part], *, width: int = WIDE) -> str:
    """Return what a command prints on a terminal without colours."""
    out = io.StringIO()
    print_parts(parts, terminal.console(file=out, width=width, force_terminal=True, no_color=True))
    return "\n".join(line.rstrip() for line in out.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "").split("\n"))


@functools.cache
def lines_of_a_benign_table(name: str) -> object:
    return shown.text(printed(TABLES[name](BENIGN)))


def test_each_table_is_made_here() -> None:
    assert sorted(TABLES) == list(registry.names("matrix.reports.tables"))


@pytest.mark.parametrize("text", [*TEXTS.values(), *EVERYTHING.values()], ids=[*TEXTS, *EVERYTHING])
@pytest.mark.parametrize("name", sorted(TABLES))
def test_nothing_but_text_comes_through_a_table(name: str, text: str) -> None:
    assert shown.text(printed(TABLES[name](text))) == lines_of_a_benign_table(name)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_narrow_terminal_gives_no_forged_line(name: str, text: str) -> None:
    shown.lines(printed(TABLES[name](f"{'x' * 70} {text}"), width=80))
