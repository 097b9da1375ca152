"""Colours and widths of all that is printed on a terminal. Pure."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from matrix.errors import ExitStatus
from matrix.model.result import Verdict
from matrix.untrusted import one_line

WIDTH = 196
"""The columns of a table that goes into a file or a pipe, which have no width of their own."""

STYLES = {
    Verdict.PASS: "green",
    Verdict.SKIP: "dim",
    Verdict.XFAIL: "yellow",
    Verdict.INCONCLUSIVE: "magenta",
    Verdict.ERROR: "bold magenta",
    Verdict.FAIL: "bold red",
}


class _Console(Console):
    """A console that ends the program by a status of its own where nobody reads: rich's is that of a failed cell."""

    def on_broken_pipe(self) -> None:
        try:
            super().on_broken_pipe()
        except SystemExit as end:
            raise SystemExit(ExitStatus.OUTPUT_CLOSED) from end


def mark(verdict: Verdict, suffix: str = "") -> Text:
    """Return a verdict, and text directly after it, in the verdict's colour."""
    return Text(f"{verdict}{suffix}", style=STYLES[verdict])


def console(**how: Any) -> Console:
    """Return a console of rich's that obeys nothing in a text: no markup, no code of an emoji, no word by its looks."""
    return _Console(markup=False, emoji=False, highlight=False, **how)


def say(line: str, where: Console) -> None:
    """Print a line of progress, which may quote strangers."""
    where.print(Text(one_line(line)), soft_wrap=True)
