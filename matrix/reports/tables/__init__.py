"""Tables for people: one module a command, each a pure function from a result to the parts to print, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from rich.table import Table
from rich.text import Text

from matrix.untrusted import message, one_line

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import JustifyMethod

Part: TypeAlias = Table | Text
"""A table, which is folded into the console's width, or a line, which is printed whole."""


def table(*headings: str, right: Collection[str] = (), no_wrap: Collection[str] = ()) -> Table:
    """Return an empty table; columns of numbers are aligned to the `right`, a long word is folded elsewhere."""
    made = Table(box=None, pad_edge=False)
    for heading in headings:
        justify: JustifyMethod = "right" if heading in right else "left"
        made.add_column(heading, justify=justify, no_wrap=heading in no_wrap, overflow="fold")
    return made


def add_row(made: Table, *cells: str | Text) -> None:
    """Add a row to a table, in which a cell that a stranger may have written is one line and no markup."""
    made.add_row(*(line(cell) if isinstance(cell, str) else cell for cell in cells))


def paragraph(text: str) -> Text:
    """Return text of several lines, which a stranger may have written; the lines after the first are quoted."""
    return Text(message(text))


def line(text: str, style: str = "") -> Text:
    """Return text, which a stranger may have written, as one line that can be shown."""
    return Text(one_line(text), style)
