"""Edits: named changes to a tree."""

from __future__ import annotations

from pydantic import Field, model_validator

from matrix.model.base import EditName, Frozen, Name
from matrix.model.cell_id import Place


class Change(Frozen):
    """One change to a file of a tree: `find` (a multi-line regular expression) becomes `replace`, or the whole file.

    `find` must match `matches` times; `add` is a new file's content; `remove` deletes the file.
    """

    file: str = Field(min_length=1)
    find: str = ""
    matches: int = Field(default=1, ge=1)
    replace: str = ""
    add: str = ""
    remove: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Change:
        if any(part in ("", ".", "..") for part in self.file.split("/")):
            raise ValueError("file must be a path inside the tree")
        if [bool(self.find), bool(self.add), self.remove].count(True) != 1:
            raise ValueError("one of find, add and remove is needed")
        return self


class Expected(Frozen):
    """Which check must fail on a planted fault, in which cells (IMAGE/TOOLCHAIN/BUILD), with which findings.

    `findings` are globs over finding keys, each of which must occur; `evidence` is a regular expression that what such
    a finding says (actual and evidence) must hold.
    """

    check: Name
    cells: tuple[Place, ...] = Field(min_length=1)
    findings: tuple[str, ...] = Field(min_length=1)
    evidence: str = ""


class Edit(Frozen):
    """A named change to a tree, from `configs/edits/NAME.yaml`; one with `expect` is a fault to plant.

    `trees` are globs over the names of the trees that it applies to. `includes` names edits whose changes come first.
    `undoes` is the number of the series' patch whose effect it takes back. What is `equivalent` (the reason) changes
    nothing that can be observed. `from_scratch` faults cannot be planted on a built tree.
    """

    name: EditName
    summary: str
    trees: tuple[str, ...] = Field(min_length=1)
    includes: tuple[EditName, ...] = ()
    changes: tuple[Change, ...] = ()
    expect: Expected | None = None
    undoes: int = 0
    equivalent: str = ""
    from_scratch: bool = False
