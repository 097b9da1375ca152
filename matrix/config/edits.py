"""Edits together with the edits that they include."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.model.edit import Change, Edit


def whole(name: str, known: Mapping[str, Edit], above: tuple[str, ...] = ()) -> Edit:
    """Return the edit `name` with the changes of the edits that it includes before its own.

    `above` are the names of the edits that include this one, from the outermost.

    Raises:
        UsageError: edits include each other in a circle.

    """
    chain = (*above, name)
    if name in above:
        raise UsageError(f"edits include each other: {' -> '.join(chain)}")
    edit = known[name]
    changes: tuple[Change, ...] = ()
    # In this order: an edit's own patterns are for files that the included edits have changed.
    for included in edit.includes:
        changes += whole(included, known, chain).changes
    return edit.model_copy(update={"changes": (*changes, *edit.changes), "includes": ()})
