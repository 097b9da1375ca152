"""Applies named changes to the files of a tree. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matrix.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matrix.model.edit import Change, Edit


def apply(edits: Sequence[Edit], read: Callable[[str], bytes | None]) -> dict[str, bytes | None]:
    """Return the files that `edits`, in order, change: path to new content, or to nothing where it is removed.

    `read` gives a file of the tree by its path, or nothing where there is none.

    Raises:
        UsageError: a file is not there (or is, where one is to be added), or a pattern matches another number of times.

    """
    changed: dict[str, bytes | None] = {}
    for edit in edits:
        for change in edit.changes:
            now = changed[change.file] if change.file in changed else read(change.file)
            changed[change.file] = _changed(edit, change, now)
    return changed


def _changed(edit: Edit, change: Change, now: bytes | None) -> bytes | None:
    if change.add:
        if now is not None:
            raise UsageError(f"edit {edit.name}: {change.file} is there already", "It is to be added.")
        return change.add.encode()
    if now is None:
        raise UsageError(f"edit {edit.name}: the tree has no {change.file}")
    if change.remove:
        return None
    text = now.decode("utf-8", "surrogateescape")
    try:
        after, count = re.subn(change.find, change.replace, text, flags=re.MULTILINE)
    except re.error as error:
        raise UsageError(f"edit {edit.name}: {change.find!r} is no pattern: {error}") from error
    if count != change.matches:
        raise UsageError(
            f"edit {edit.name}: {change.find!r} matches {count} times in {change.file}, not {change.matches}",
            "The tree is another than the edit was made for: adjust its pattern, or `trees`.",
        )
    if after == text:
        raise UsageError(f"edit {edit.name}: {change.find!r} changes nothing in {change.file}", "It is no edit.")
    return after.encode("utf-8", "surrogateescape")
