"""Ingredients: everything that a result was made of, compared between a result and its reproduction. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Literal

from matrix.model.base import Frozen
from matrix.verdicts.wording import count, cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matrix.model.cell import Cell
    from matrix.model.result import CellResult, ImageIdentity, TreeIdentity
    from matrix.model.tree import Delta, Tree

Same = Literal["same", "differs", "unknown"]
LISTED = 8
"""The number of differences of one ingredient that its note names."""

LABELS = ("name", "summary", "extends")
"""The fields of a definition that change nothing in a cell."""

HOST_FACTS = {
    "kernel BTF sha256": "btf_sha256",
    "engine": "engine",
    "storage": "storage",
    "kernel": "kernel",
    "architecture": "architecture",
    "processors": "cpus",
}
"""The names of ingredients that the host gave, with the keys of CellResult.host."""


class Ingredient(Frozen):
    """One ingredient of two results, `then` and `now`; `note` names the differences, or says how much they matter."""

    name: str
    then: str
    now: str
    same: Same
    note: str = ""


def compare_ingredients(then: CellResult, now: CellResult) -> tuple[Ingredient, ...]:
    """Return each ingredient of two results; an ingredient that one of them does not state is unknown."""
    rows = [_row("tool version", then.tool_version, now.tool_version)]
    rows += _image_rows(then.image, now.image)
    rows.append(_packages_row(then.image, now.image))
    rows += _tree_rows(then.tree, now.tree)
    if then.definition and now.definition:
        rows += _definition_rows(then.definition, now.definition)
        rows.append(_patches_row(then, now))
    rows.append(_mapping_row("environment", then.environment, now.environment))
    rows.append(_mapping_row("limits", then.limits.model_dump(), now.limits.model_dump()))
    rows.append(_row("make's jobs", _jobs(then), _jobs(now)))
    rows += [_row(name, then.host.get(key, ""), now.host.get(key, "")) for name, key in HOST_FACTS.items()]
    return tuple(rows)


def _row(name: str, then: str, now: str, note: str = "") -> Ingredient:
    """Return the row of two texts; the note is for texts that differ."""
    same = _sameness(then, now)
    return Ingredient(name=name, then=then, now=now, same=same, note=note if same == "differs" else "")


def _sameness(then: str, now: str) -> Same:
    """Return whether two texts are the same; an empty one is not known."""
    if not then or not now:
        return "unknown"
    return "same" if then == now else "differs"


def _jobs(result: CellResult) -> str:
    """Return the number of make's jobs; empty where the result does not state it."""
    return str(result.jobs or "")


def _mapping_row(name: str, then: Mapping[str, Any], now: Mapping[str, Any], noun: str = "value") -> Ingredient:
    """Return the row of two mappings: the numbers of their values, and the values that differ."""
    changes = _changed_values(then, now)
    return Ingredient(
        name=name,
        then=count(len(then), noun),
        now=count(len(now), noun),
        same="differs" if changes else "same",
        note="; ".join(cut(changes, LISTED)),
    )


def _changed_values(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    keys = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    return [f"{key}: {then.get(key, 'none')} > {now.get(key, 'none')}" for key in keys]


def _definition_row(name: str, then: Frozen, now: Frozen) -> Ingredient:
    """Return the row of two definitions of one kind: their digests, and the fields that differ, but for labels."""
    changed = _changed_fields(then, now)
    if not changed:  # but labels may differ, and with them the digest
        return Ingredient(name=name, then=_digest(then), now=_digest(then), same="same")
    note = f"in {', '.join(changed)}"
    return Ingredient(name=name, then=_digest(then), now=_digest(now), same="differs", note=note)


def _changed_fields(then: Frozen, now: Frozen) -> list[str]:
    fields = [field for field in type(then).model_fields if field not in LABELS]
    return [field for field in fields if getattr(then, field) != getattr(now, field)]


def _digest(value: Frozen) -> str:
    return hashlib.sha256(value.model_dump_json().encode()).hexdigest()[:12]


def _fact(identity: ImageIdentity | TreeIdentity | None, field: str) -> str:
    """Return a field of the identity of an image or a tree; empty where the result has none."""
    return str(getattr(identity, field)) if identity else ""


def _image_rows(then: ImageIdentity | None, now: ImageIdentity | None) -> Iterator[Ingredient]:
    base = _row("base image", _fact(then, "base"), _fact(now, "base"))
    # `mmdebstrap trixie` is equal for every day's trixie, so that equal words prove nothing.
    has_digest = base.then.startswith("pulled ")
    if base.same == "same" and not has_digest:
        note = "it was bootstrapped, so there is no digest to compare: the packages say more"
        base = base.model_copy(update={"same": "unknown", "note": note})
    yield base
    note = "an image that is built anew has another one: the packages say more"
    yield _row("image digest", _fact(then, "digest"), _fact(now, "digest"), note)


def _packages_row(then: ImageIdentity | None, now: ImageIdentity | None) -> Ingredient:
    before, after = _packages(then), _packages(now)
    if not before or not after:
        return _row("packages", _package_count(before), _package_count(after))
    row = _mapping_row("packages", before, after, "package")
    unchanged = len(before.items() & after.items())  # of hundreds of packages, a few differ
    return row.model_copy(update={"now": f"{len(after)}, {unchanged} of them the same"})


def _packages(image: ImageIdentity | None) -> dict[str, str]:
    return image.packages if image else {}


def _package_count(packages: Mapping[str, str]) -> str:
    return count(len(packages), "package") if packages else ""


def _tree_rows(then: TreeIdentity | None, now: TreeIdentity | None) -> Iterator[Ingredient]:
    yield _row("tree sha256", _fact(then, "sha256"), _fact(now, "sha256"))
    yield _row("tree version", _fact(then, "version"), _fact(now, "version"))
    yield _row("tree's origin", _fact(then, "origin"), _fact(now, "origin"), "its sha256 says more")


def _definition_rows(then: Cell, now: Cell) -> Iterator[Ingredient]:
    """Yield the rows of the configuration that the cells were made from."""
    yield _definition_row("image recipe", then.image, now.image)
    toolchain = then.toolchain
    variables = [cell.image.toolchains.get(toolchain, {}) for cell in (then, now)]
    yield _mapping_row(f"toolchain {toolchain}", variables[0], variables[1])
    yield _definition_row("build", then.build, now.build)
    yield _definition_row("tree's description", _description(then.tree), _description(now.tree))
    yield _row("edits", _edits(then), _edits(now))


def _description(tree: Tree) -> Tree:
    """Return a tree without its source, edits and patch, which are ingredients of their own."""
    return tree.model_copy(update={"source": "", "edits": (), "delta": None})


def _edits(cell: Cell) -> str:
    edits = [f"{edit.name} {_digest(edit)}" for edit in cell.tree.edits]
    return ", ".join(edits) or "none"


def _patches_row(then: CellResult, now: CellResult) -> Ingredient:
    """Return the row of the patches on the source, as ranges of commits.

    A commit's id depends on its date and message too, so patches are the same where they make the same tree.
    """
    row = _row("patches", _commit_range(_delta(then)), _commit_range(_delta(now)))
    if _make_same_tree(then, now):
        return row.model_copy(update={"same": "same", "note": "they make the same tree"})
    return row


def _make_same_tree(then: CellResult, now: CellResult) -> bool:
    """Return whether both results are of patches, which make trees of the same content."""
    have_patches = _delta(then) is not None and _delta(now) is not None
    return have_patches and _has_same_content(then.tree, now.tree)


def _delta(result: CellResult) -> Delta | None:
    return result.definition.tree.delta if result.definition else None


def _commit_range(delta: Delta | None) -> str:
    return f"{delta.base[:12]}..{delta.commit[:12]}" if delta else "none"


def _has_same_content(then: TreeIdentity | None, now: TreeIdentity | None) -> bool:
    return then is not None and now is not None and then.sha256 == now.sha256
