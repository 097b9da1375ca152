"""The claims of a series, each with the check or measure that decides it and the answers of the tree and its base."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.reports.tables import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.text import Text

    from matrix.verdicts.claims import ClaimRow, Decision


def parts(found: Iterable[ClaimRow], tree: str, base: str) -> Iterator[Text]:
    """Yield the lines of each claim."""
    for row in found:
        yield from _claim_lines(row, tree, base)


def _claim_lines(row: ClaimRow, tree: str, base: str) -> Iterator[Text]:
    yield line(f"{_owner(row)}: {row.summary}", "bold")
    if row.decided_by:
        yield line(f"  decided by {row.decided_by}")
    yield _answer(tree, row.tree)
    yield _answer(base, row.base)
    if row.same:
        yield line("  the same answer for both: this does not tell the tree from its base")


def _owner(row: ClaimRow) -> str:
    return f"patch {row.patch}" if row.patch else "series"


def _answer(tree: str, decision: Decision) -> Text:
    words = filter(None, (str(decision.answer), decision.figure, decision.why))
    return line(f"  {tree}: {'; '.join(words)}")
