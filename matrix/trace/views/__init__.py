"""Views of a traced step: pure functions that return text; each module of this folder adds one view, its `VIEW`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from matrix import registry as extension_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.trace.cost import Account
    from matrix.trace.simulation import PathItem
    from matrix.trace.timeline import Timeline


class Render(Protocol):
    """The function of a view; `cell` and `step` are names, `critical` is the critical path from its beginning."""

    def __call__(
        self, cell: str, step: str, timeline: Timeline, account: Account, critical: Sequence[PathItem] = (), /
    ) -> str:
        """Return the text of the view of a cell's step."""


@dataclass(frozen=True)
class View:
    """A view, which a module of this folder adds as `VIEW`."""

    # The ending of the view's file, for example `.txt`; the step's name comes before it.
    suffix: str
    # The pure function from a step's timeline, account and critical path to the file's text.
    render: Render


def registry() -> dict[str, View]:
    """Return every view by its module's name, in the order of the names."""
    return extension_points.load(__name__, "VIEW", View)
