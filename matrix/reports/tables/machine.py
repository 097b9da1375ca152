"""The machine: the table of the matrix's needs, and the lines on resources that are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from matrix.reports.tables import add_row, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    class MachineNeed(Protocol):
        """A need of the matrix on a machine: `found` is the thing that meets it, or the advice where none does."""

        @property
        def what(self) -> str:
            """The need's name."""

        @property
        def found(self) -> str:
            """The state that was found, or the way to meet the need."""

        @property
        def is_met(self) -> bool:
            """Whether the machine meets the need."""

    class Removable(Protocol):
        """A resource in an engine, or a file of a cache."""

        @property
        def kind(self) -> str:
            """The thing's kind, as `volume`."""

        @property
        def name(self) -> str:
            """The thing's name in the engine, or the file's path."""

        @property
        def purpose(self) -> str:
            """The purpose that the thing was made for, as `cell`."""

        @property
        def size_bytes(self) -> int | None:
            """The thing's size on disk, or None where the size is not known."""


def needs(found: Iterable[MachineNeed]) -> Table:
    """Return the table of the matrix's needs of a machine: each with the thing that meets it, or with advice."""
    made = Table(show_header=False, box=None)
    made.add_column(no_wrap=True)
    for need in found:
        add_row(made, need.what, Text("ok", "green") if need.is_met else Text("missing", "red"), need.found)
    return made


def removals(found: Iterable[Removable], *, dry_run: bool) -> Iterator[Text]:
    """Yield a line for each thing that is removed or, on a dry run, would be."""
    verb = "would remove" if dry_run else "removing"
    yield from (line(f"{verb} {item.kind} {item.name} ({item.purpose}{_size(item)})") for item in found)


def _size(item: Removable) -> str:
    return "" if item.size_bytes is None else f", {item.size_bytes / (1 << 20):.1f} MiB"
