"""Colours and widths of all that is printed on a terminal. Pure."""

from __future__ import annotations

from rich.text import Text

from matrix.model.result import Verdict

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


def mark(verdict: Verdict, suffix: str = "") -> Text:
    """Return a verdict, and text directly after it, in the verdict's colour."""
    return Text(f"{verdict}{suffix}", style=STYLES[verdict])
