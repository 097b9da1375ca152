"""Applies named changes to the files of a tree. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matrix.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matrix.model.edit import Change, Edit


def apply(edits: Sequence[Edit], read: Callable[[str], bytes | None]) -> dict[str, bytes | None]:
    """Return the files that edits change, applied in their order: a map from path to new content, None for a removal.

    `read` returns the content of a file of the tree by its path, or None where the tree has no such file.

    Raises:
        UsageError: a file to change does not exist, a file to add exists, or a pattern is wrong, changes nothing or
            matches another number of times than its `matches`.

    """
    changed: dict[str, bytes | None] = {}
    for edit in edits:
        for change in edit.changes:
            # A file may be in `changed` as None: an earlier change removed it, whatever the tree has.
            now = changed[change.file] if change.file in changed else read(change.file)
            changed[change.file] = _changed(edit, change, now)
    return changed


def _changed(edit: Edit, change: Change, now: bytes | None) -> bytes | None:
    if change.add:
        if now is not None:
            raise UsageError(f"edit {edit.name}: {change.file} exists already", "`add` makes a new file.")
        return change.add.encode()
    if now is None:
        raise UsageError(f"edit {edit.name}: the tree has no {change.file}")
    if change.remove:
        return None
    text = now.decode("utf-8", "surrogateescape")  # bytes that are no UTF-8 come out as they went in
    try:
        after, count = re.subn(change.find, change.replace, text, flags=re.MULTILINE)
    except re.error as error:
        raise UsageError(f"edit {edit.name}: {change.find!r} is no pattern: {error}") from error
    # A pattern that matches elsewhere too would change more than the edit's author has seen.
    if count != change.matches:
        raise UsageError(
            f"edit {edit.name}: {change.find!r} matches {count} times in {change.file}, not {change.matches}",
            "The edit was made for another tree: adjust its pattern, or its `trees`.",
        )
    if after == text:
        raise UsageError(
            f"edit {edit.name}: {change.find!r} changes nothing in {change.file}",
            "`replace` must differ from the match.",
        )
    return after.encode("utf-8", "surrogateescape")
