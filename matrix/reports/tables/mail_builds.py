"""The table of proposals: a command of this program for each make command line of a bug report."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matrix.reports.tables import line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.reports.tables import Part


class Proposal(NamedTuple):
    """A proposed command, the line of the report's text and the make command that it is for, and what it leaves out."""

    line: int
    make: str
    command: str
    dropped: tuple[str, ...]


def parts(proposals: Sequence[Proposal], others: Sequence[tuple[int, str]], distros: Sequence[str]) -> Iterator[Part]:
    """Yield the proposals, the lines that are not understood, and the distros without an image that are named."""
    for proposal in proposals:
        left_out = f" (without {', '.join(proposal.dropped)})" if proposal.dropped else ""
        yield line(f"line {proposal.line} of the text: {proposal.make}{left_out}")
        yield line(f"  {proposal.command}")
    for number, text in others:
        yield line(f"line {number} of the text is not understood: {text}")
    if proposals and distros:
        yield line(f"the report names {', '.join(distros)}, of which there is no image here")
