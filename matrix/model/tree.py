"""Trees: where sources come from."""

from __future__ import annotations

from pydantic import Field

from matrix.model.base import Frozen, Name
from matrix.model.edit import Edit

USUAL_BARRIERS: dict[str, tuple[str, ...]] = {"prepare": ()}


class Delta(Frozen):
    """What a tree has on top of its source: what two commits of a repository (a path) differ by.

    `sha256` is the content hash of the source that it is the difference to.
    """

    repository: str
    base: str
    commit: str
    sha256: str


class Tree(Frozen):
    """A source tree: what the user calls it and where it comes from, from `configs/trees/NAME.yaml` or `--tree`.

    `renamed_tests` maps a name that builds use for one of perf's own tests to the one that this tree has. `edits` were
    applied to it, in order, after `delta`; its name ends in `+NAME` for each. With `string_unit` the event tables'
    string has a compilation unit of its own. `barriers` maps targets that much waits for to globs over what those must
    not wait for themselves.
    """

    name: Name
    summary: str = ""
    source: str
    lacks: dict[str, str] = Field(default_factory=dict)
    renamed_tests: dict[str, str] = Field(default_factory=dict)
    touch_source: str = "tools/perf/util/evsel.c"
    touch_header: str = "tools/perf/util/pmus.h"
    string_unit: bool = False
    barriers: dict[str, tuple[str, ...]] = Field(default_factory=USUAL_BARRIERS.copy)
    delta: Delta | None = None
    edits: tuple[Edit, ...] = ()

    @property
    def suffix(self) -> str:
        """What its edits add to its name."""
        return "".join(f"+{edit.name}" for edit in self.edits)

    @property
    def unedited(self) -> Tree:
        """The tree without its edits."""
        return self.model_copy(update={"name": self.name.removesuffix(self.suffix), "edits": ()})

    @property
    def asked(self) -> str:
        """What `--tree` takes for it: its source where that is what it was asked for by, else its name."""
        return self.source + self.suffix if self.summary == self.source else self.name
