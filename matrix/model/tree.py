"""Trees: source trees with their sources, and the changes on top of these."""

from __future__ import annotations

import hashlib

from pydantic import Field

from matrix.model.base import Frozen, Name
from matrix.model.edit import Edit

# The objects of tools/perf wait for the target `prepare` of its Makefile.perf.
USUAL_BARRIERS: dict[str, tuple[str, ...]] = {"prepare": ()}


def name_of_source(source: str) -> str:
    """Return the name of a tree that is asked for by its source: the scheme and a digest, so that ids stay short."""
    scheme = source.partition(":")[0]
    return f"{scheme}-{hashlib.sha256(source.encode()).hexdigest()[:10]}"


class Delta(Frozen):
    """The difference of a tree to its source: that between the commits `base` and `commit` of a repository (a path).

    `sha256` is the content hash of the source.
    """

    repository: str
    base: str
    commit: str
    sha256: str


class Tree(Frozen):
    """A source tree with its name and its origin, from `configs/trees/NAME.yaml` or `--tree`.

    `renamed_tests` maps a name that builds use for one of perf's own tests to the name of that test in this tree.
    `delta` and then `edits`, in order, were applied to the source; the tree's name ends in `+NAME` for each edit. With
    `string_unit` the event tables' string has a compilation unit of its own. `barriers` maps each target that many
    others wait for to globs over the targets that it must not wait for itself.
    """

    name: Name
    summary: str = ""
    source: str
    lacks: dict[str, str] = Field(default_factory=dict)
    renamed_tests: dict[str, str] = Field(default_factory=dict)
    # Files of every tree so far: the source of one object of perf, and a header of many.
    touch_source: str = "tools/perf/util/evsel.c"
    touch_header: str = "tools/perf/util/pmus.h"
    string_unit: bool = False
    barriers: dict[str, tuple[str, ...]] = Field(default_factory=USUAL_BARRIERS.copy)
    delta: Delta | None = None
    edits: tuple[Edit, ...] = ()

    @property
    def suffix(self) -> str:
        """The end of the tree's name that names its edits: `+NAME` for each."""
        return "".join(f"+{edit.name}" for edit in self.edits)

    @property
    def unedited(self) -> Tree:
        """The tree without its edits."""
        return self.model_copy(update={"name": self.name.removesuffix(self.suffix), "edits": ()})

    @property
    def asked(self) -> str:
        """The argument of `--tree` that gives this tree: its source if it was asked for by that, else its name."""
        is_named_by_source = self.unedited.name == name_of_source(self.source)
        return self.source + self.suffix if is_named_by_source else self.name
