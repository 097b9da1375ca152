"""A run's kind: the command that began it, and the settings that runs of this command alone have."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from matrix.model.base import Frozen
from matrix.verdicts.series import PatchTree


class _Kind(Frozen):
    """A kind of run.

    `command` is the command that goes on with such a run. Where `reports_comparisons`, its report compares each cell
    with the base's, and a cell's own verdict is not the run's.
    """

    command: ClassVar[str]
    reports_comparisons: ClassVar[bool] = False


class PlainRun(_Kind):
    """A run of `perf-matrix run`, `perf-matrix repro` or `pytest tests/cells`."""

    kind: Literal["run"] = "run"
    command: ClassVar[str] = "run"


class GateRun(_Kind):
    """A run of `perf-matrix gate`: each cell on the tree `head` is compared with the same one on the base tree.

    `require` are the profile's requirements on times, as `build no slower than 5 %`, measured in `pairs` rounds.
    """

    kind: Literal["gate"] = "gate"
    command: ClassVar[str] = "gate"
    reports_comparisons: ClassVar[bool] = True
    head: str
    require: tuple[str, ...] = ()
    pairs: int = 20


class SeriesRun(_Kind):
    """A run of `perf-matrix series`: each cell on a patch's tree is compared with the same one on the base tree."""

    kind: Literal["series"] = "series"
    command: ClassVar[str] = "series"
    reports_comparisons: ClassVar[bool] = True
    patches: tuple[PatchTree, ...] = Field(min_length=1)


class MutantsRun(_Kind):
    """A run of `perf-matrix mutants`: faults are planted in copies of the unedited tree's build.

    `planted` maps each fault to its digest, by which `--resume` knows whether the fault is still the same. A cell runs
    the steps that its faults' checks need.
    """

    kind: Literal["mutants"] = "mutants"
    command: ClassVar[str] = "mutants"
    planted: dict[str, str]


class ClaimsRun(_Kind):
    """A run of `perf-matrix claims`: a cell runs the steps that `checks` need, which decide the claims."""

    kind: Literal["claims"] = "claims"
    command: ClassVar[str] = "claims"
    checks: tuple[str, ...]


class BisectRun(_Kind):
    """A run of `perf-matrix bisect`: one cell on the commits that git asks for, until `check` first fails.

    Git's state of it is not kept, so that `--resume` completes its cells alone, by `perf-matrix run`.
    """

    kind: Literal["bisect"] = "bisect"
    command: ClassVar[str] = "run"
    check: str


RunKind = Annotated[
    PlainRun | GateRun | SeriesRun | MutantsRun | ClaimsRun | BisectRun,
    Field(discriminator="kind"),
]
"""Every kind; run.json tells them apart by the key `kind`."""
