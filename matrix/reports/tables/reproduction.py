"""The table of a reproduction: a row per ingredient then and now, and below it the checks that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from matrix.reports.tables import add_row, line
from matrix.reports.terminal import mark
from matrix.untrusted import one_line
from matrix.verdicts.failing_step import failing_step
from matrix.verdicts.wording import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.model.result import CellResult, Verdict
    from matrix.reports.tables import Part
    from matrix.verdicts.ingredients import Ingredient
    from matrix.verdicts.reproduction import CheckDifference, Reproduction

SAME_STYLES = {"same": "green", "differs": "bold yellow", "unknown": "dim"}
SHOWN_CHARACTERS = 160  # of a text from another machine, which may be of any length
SHOWN_KEYS = 8


def parts(rows: Sequence[Ingredient], outcome: Reproduction, now: CellResult, run: str, folder: str) -> Iterator[Part]:
    """Yield the ingredients, the checks that differ, and the step at which the second result failed.

    `run` and `folder` are the name and the folder of the run of the second result, `now`.
    """
    yield _ingredients(rows)
    for one in outcome.differences:
        yield _short(f"{one.check}: {one.then} then, {one.now} now")
        yield from _keys(one)
    yield Text(f"{outcome.answer}: ", style="bold").append_text(_short(outcome.reason))
    yield from _failure(now, folder)
    yield Text("verdict: ").append_text(_verdict(now.verdict, now.reason))
    yield line(f"run: {folder}; `perf-matrix report {run}` says all of it")


def _ingredients(rows: Sequence[Ingredient]) -> Table:
    made = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("ingredient", "", "then", "now"):
        made.add_column(heading, overflow="fold", no_wrap=heading == "ingredient")
    for row in rows:
        add_row(made, _short(row.name), Text(row.same, style=SAME_STYLES[row.same]), _short(row.then), _now(row))
        if row.note:
            add_row(made, "", "", _short(row.note), "")
    return made


def _now(row: Ingredient) -> Text:
    """Return an ingredient's second value, unless it is the first one again."""
    is_repeated = row.same == "same" and row.then == row.now
    return _short("" if is_repeated else row.now)


def _short(text: str) -> Text:
    """Return text, which a stranger may have written, as one line of bounded length."""
    shown = one_line(text)
    return Text(shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}…")


def _keys(one: CheckDifference) -> Iterator[Text]:
    """Yield the keys of the findings that only one of two results has."""
    for title, keys in (("no longer", one.gone), ("new", one.new)):
        yield from (Text(f"  {title}: ").append_text(_short(key)) for key in cut(keys, SHOWN_KEYS))


def _failure(now: CellResult, folder: str) -> Iterator[Text]:
    """Yield the step that failed, if any, its reason, its command and its log."""
    name = failing_step(now)
    step = now.step(name)
    if step is None:
        return
    yield Text(f"step {name}: ").append_text(_verdict(step.verdict, step.reason))
    yield line(f"  {step.command}")
    yield line(f"  see {folder}/cells/{now.id}/{step.log}")


def _verdict(verdict: Verdict, reason: str) -> Text:
    return mark(verdict).append_text(_short(f" {reason}".rstrip()))
