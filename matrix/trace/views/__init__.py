"""Views of a traced step: one module per form, found by listing this folder; each is a pure function to text."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.trace.cost import Account
    from matrix.trace.simulation import PathItem
    from matrix.trace.timeline import Timeline


class Render(Protocol):
    """What a view does: `critical` is the critical path, from its beginning."""

    def __call__(
        self, cell: str, step: str, timeline: Timeline, account: Account, critical: Sequence[PathItem] = ()
    ) -> str:
        """Return the view of a cell's step."""


@dataclass(frozen=True)
class View:
    """A view; `suffix` ends the name of a file that holds what it renders."""

    name: str
    suffix: str
    render: Render


def registry() -> dict[str, View]:
    """Return every view by its name, in the order of the names."""
    found: dict[str, View] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        found[name] = View(name, module.SUFFIX, module.render)
    return found
