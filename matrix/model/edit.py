"""Edits: named changes to a tree, and the findings that a planted fault must lead to."""

from __future__ import annotations

from pydantic import Field, model_validator

from matrix.model.base import EditName, Frozen, Name
from matrix.model.cell_id import Place


class Change(Frozen):
    """One change to a file of a tree.

    Each of the `matches` places that `find` (a multi-line regular expression) matches becomes `replace`; or `add` is
    the content of a new file; or `remove` deletes the file.
    """

    file: str = Field(min_length=1)
    find: str = ""
    matches: int = Field(default=1, ge=1)
    replace: str = ""
    add: str = ""
    remove: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Change:
        kinds = [bool(self.find), bool(self.add), self.remove]
        # An empty part, `.` or `..`: an absolute path, a path twice, or one that leads out of the tree.
        if not {"", ".", ".."}.isdisjoint(self.file.split("/")):
            raise ValueError("file must be a path inside the tree")
        if kinds.count(True) != 1:
            raise ValueError("one of find, add and remove is needed")
        return self


class Expected(Frozen):
    """The check that must fail on a planted fault, with the places (`cells`) and the findings.

    `findings` are globs over finding keys; each of them must match a finding in whose text (`actual` and `evidence`)
    the regular expression `evidence` is found.
    """

    check: Name
    cells: tuple[Place, ...] = Field(min_length=1)
    findings: tuple[str, ...] = Field(min_length=1)
    evidence: str = ""


class Edit(Frozen):
    """A named change to a tree, from `configs/edits/NAME.yaml`; an edit with `expect` is a fault to plant.

    `trees` are globs over the names of the trees that the edit applies to. `includes` names edits whose changes come
    first. `undoes` is the number of the series' patch whose effect the edit reverts. An edit with `equivalent` (the
    reason) changes nothing that can be observed. A fault that is `from_scratch` cannot be planted on a built tree.
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
