"""The table of runs: one line a run, the newest first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field
from rich.table import Table
from rich.text import Text

from matrix.model.base import Frozen
from matrix.model.result import Verdict
from matrix.reports.tables import add_row, line
from matrix.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import JustifyMethod

    from matrix.reports.tables import Part

UNREADABLE = "unreadable"
TREES_SHOWN = 2
COLUMNS: dict[str, JustifyMethod] = {
    "run": "left",
    "started (UTC)": "left",
    "command": "left",
    "cells": "right",
    "results": "left",
    "trees": "left",
}
"""The headings of the table, with the sides to which their columns are aligned."""

CUT = ("results", "trees")
"""The columns that are cut on a narrow terminal."""

# The seconds of a start are of no use to people, and the run's name has them.
_ISO_MINUTE = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(:\d{2})?Z?")


class RunRow(Frozen):
    """A run and the number of its cells a verdict; `command` is UNREADABLE where its files could not be read.

    `started` is UTC as in ISO 8601, `lacking` the number of cells without a result. While a run is `going_on`, a cell
    that was begun is lacking. `problem` is the reason why the files could not be read.
    """

    run: str
    folder: str
    going_on: bool
    command: str = UNREADABLE
    started: str = ""
    trees: tuple[str, ...] = ()
    cells: int = 0
    verdicts: dict[Verdict, int] = Field(default_factory=dict)
    lacking: int = 0
    problem: str = ""


def parts(rows: Sequence[RunRow], older: int) -> Iterator[Part]:
    """Yield the table of runs, and the number of `older` ones that are not in it."""
    if not rows:
        yield line("no run yet: `perf-matrix run --profile smoke` makes one")
        return
    yield _table(rows)
    # Below the table, where a long sentence takes no width from the other columns.
    yield from (line(f"{row.run}: {row.problem}") for row in rows if row.problem)
    if older:
        yield line(f"and {older} older ones: --most 0 names all")


def _table(rows: Sequence[RunRow]) -> Table:
    made = Table(box=None, pad_edge=False)
    for heading, justify in COLUMNS.items():
        # A run is one line, always. On a narrow terminal rich cuts the columns that it may wrap before any other, so
        # that the run's name, which other commands take, stays whole.
        made.add_column(heading, justify=justify, no_wrap=heading not in CUT, overflow="ellipsis")
    for row in rows:
        *whole, results, trees = _columns(row)
        add_row(made, *whole, _cut(results), _cut(trees))
    return made


def _cut(text: str) -> Text:
    """Return a cell that ends in an ellipsis where its column is too narrow."""
    return Text(one_line(text), no_wrap=True, overflow="ellipsis")


def _columns(row: RunRow) -> tuple[str, ...]:
    return row.run, minute(row.started), row.command, str(row.cells), _results(row), short_list(row.trees)


def _results(row: RunRow) -> str:
    verdicts = [f"{number} {verdict}" for verdict, number in row.verdicts.items()]
    lacking = [f"{row.lacking} lacking"] if row.lacking else []
    going_on = ["going on"] if row.going_on else []
    return ", ".join([*verdicts, *lacking, *going_on])


def minute(started: str) -> str:
    """Return a time of ISO 8601 as people read it, `2026-11-25 18:20`; any other text as it is."""
    found = _ISO_MINUTE.fullmatch(started)
    return f"{found[1]} {found[2]}" if found else started


def short_list(names: Sequence[str]) -> str:
    """Return the first names of a list and the number of the others: `7.3, 7.2 and 12 more`."""
    left = len(names) - TREES_SHOWN
    if left <= 0:
        return ", ".join(names)
    return f"{', '.join(names[:TREES_SHOWN])} and {left} more"
