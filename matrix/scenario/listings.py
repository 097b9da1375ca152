"""The agent's listings of folders that a step wrote to, held against the names that the tree has in them. Pure."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Iterable

_LISTING = TypeAdapter(tuple[str, str, list[str]])


def gone(records: Iterable[Any], children: dict[str, set[str]]) -> list[str]:
    """Return the tree's paths that a step's listings no longer show; `children` maps the tree's folders to names.

    Only folders that a step wrote to can have lost something, and just those are listed.

    Raises:
        ValueError: a listing is not as the agent writes it.

    """
    missing: list[str] = []
    for record in records:
        if record[0] == "listing":
            _, folder, names = _LISTING.validate_python(record)
            missing += _lost(folder, names, children)
    return missing


def _lost(scanned: str, names: Iterable[str], children: dict[str, set[str]]) -> list[str]:
    """Return the paths that a folder of the tree had and that the names found in it now lack."""
    folder = "" if scanned == "." else scanned
    lost = children.get(folder, set()) - set(names)
    return [posixpath.join(folder, name) for name in sorted(lost)]


def children(paths: Iterable[str]) -> dict[str, set[str]]:
    """Return the names in each folder of a tree, from its paths; the top is the empty string."""
    found: dict[str, set[str]] = {}
    for path in paths:
        child = path
        while child:
            folder, _, name = child.rpartition("/")
            names = found.setdefault(folder, set())
            if name in names:  # and so the folders above it are, too
                break
            names.add(name)
            child = folder
    return found
