"""Edits together with the edits that they include."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.model.edit import Change, Edit


CHANGES = 10_000
"""The most changes of an edit with those of the edits that it includes: each may include another twice, and so on."""
LEVELS = 50
"""The most edits that include each other in a row."""


def whole(name: str, known: Mapping[str, Edit]) -> Edit:
    """Return the edit `name` with the changes of the edits that it includes before its own.

    Raises:
        UsageError: edits include each other in a circle, or more than LEVELS or CHANGES.

    """
    return known[name].model_copy(update={"changes": _changes(name, known, (), {}), "includes": ()})


def _changes(
    name: str, known: Mapping[str, Edit], above: tuple[str, ...], done: dict[str, tuple[Change, ...]]
) -> tuple[Change, ...]:
    """Return the changes of an edit; `above` are the edits that include it, `done` those that were looked at."""
    chain = (*above, name)
    if name in above:
        raise UsageError(f"edits include each other: {' -> '.join(chain)}")
    if len(chain) > LEVELS:
        raise UsageError(f"edit {above[0]} includes more than {LEVELS} edits in a row")
    if name not in done:
        changes: tuple[Change, ...] = ()
        # In this order: an edit's own patterns are for files that the included edits have changed.
        for included in known[name].includes:
            changes += _changes(included, known, chain, done)
        done[name] = (*changes, *known[name].changes)
    if len(done[name]) > CHANGES:
        raise UsageError(f"edit {chain[0]} has more than {CHANGES} changes with the edits that it includes")
    return done[name]
