"""The settings of a run, as its run.json has them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from matrix.model.base import Frozen
from matrix.model.cell import Limits
from matrix.model.cell_id import CellId
from matrix.runs.run_kind import PlainRun, RunKind
from matrix.runs.shard import Shard

SETTINGS_VERSION = 2  # the same as RunSettings.schema_version, for a message to runs of other versions
PLAIN = PlainRun()


class RunSettings(Frozen):
    """The settings of a run, in its run.json: all that is needed to do it again or to go on with it.

    `base` names the tree, one of `trees`, that cells on the others are compared with. `run_s` is the time in seconds
    after which a command that does the run ends it, 0 for no such time. A `fresh` run reuses no earlier result. `shard`
    is the run's place among the shards of a larger one.
    """

    schema_version: Literal[2] = 2
    run: str
    started: str
    tool_version: str
    configs: tuple[str, ...] = ()
    trees: tuple[str, ...] = Field(min_length=1)
    cells: tuple[CellId, ...] = Field(min_length=1)
    jobs: int
    limits: Limits = Limits()
    base: str = ""
    kind: RunKind = PLAIN
    run_s: int = 0
    fresh: bool = False
    shard: Shard | None = None

    @model_validator(mode="after")
    def _has_cells_on_its_base(self) -> RunSettings:
        if self.base and not any(cell_id.tree == self.base for cell_id in self.cells):
            raise ValueError(f"no cell is on the base tree {self.base!r}")
        if not self.base and not isinstance(self.kind, PlainRun):
            raise ValueError(f"a run of kind {self.kind.kind} has no base tree")
        return self
