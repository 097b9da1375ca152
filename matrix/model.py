"""The nouns: images, builds, trees, cells, and what is known of them. Imports nothing of ours."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._+-]*$")]
EditName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
MakeName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


BTF = "/sys/kernel/btf/vmlinux"
"""The running kernel's type information, which BPF skeletons are made from."""

APT_INSTALL = (
    "apt-get -qq -o Acquire::Retries=3 update && DEBIAN_FRONTEND=noninteractive "
    "apt-get -qq -o Acquire::Retries=3 install -y --no-install-recommends"
)


class Frozen(BaseModel):
    """A value: no unknown keys, no change after it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Bootstrap(Frozen):
    """How a base image is made with mmdebstrap where no registry answers."""

    suite: str
    variant: str = "minbase"
    components: tuple[str, ...] = ("main",)
    apt_options: tuple[str, ...] = ()


class Base(Frozen):
    """Where an image's base comes from: `pull` names it in a registry."""

    pull: str
    bootstrap: Bootstrap | None = None


class Image(Frozen):
    """A distro container with one or more toolchains, from `containers/NAME.yaml`.

    `provides` and a build's `requires` decide which cells exist; `lacks` maps a build option or a
    feature that this distro cannot have to the reason.
    """

    name: Name
    summary: str
    base: Base
    install: str = APT_INSTALL
    packages: tuple[str, ...]
    setup: tuple[str, ...] = ()
    toolchains: dict[Name, dict[MakeName, str]]
    provides: tuple[Name, ...] = ()
    lacks: dict[str, str] = {}


class Expect(Frozen):
    """What a finished build must be: options as `perf version --build-options` prints them, FEATURE-DUMP.

    `processes` maps a program, or `total`, to how many of it a second make may run.
    """

    options: dict[str, Literal["on", "OFF"]] = {}
    features: dict[str, Literal["0", "1"]] = {}
    linkage: Literal["dynamic", "static"] = "dynamic"
    bpf_skeletons: bool = True
    processes: dict[str, int] = {}


class Build(Frozen):
    """One build configuration, from `configs/builds/NAME.yaml`; make values are strings, as make has them.

    `extends` names a build whose keys this one takes over; mappings are merged key by key.
    """

    name: Name
    summary: str
    extends: str = ""
    make: dict[MakeName, str] = {}
    environment: dict[MakeName, str] = {}
    goals: tuple[MakeName, ...] = ()
    out_of_tree: bool = False
    start_method: Literal["spawn", "forkserver", "fork"] | None = None
    requires: tuple[Name, ...] = ()
    expect: Expect = Expect()
    perf_tests: tuple[str, ...] = ()


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
    cells: tuple[str, ...] = Field(min_length=1)
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


class DecidedBy(Frozen):
    """What decides a claim: a check in a cell (IMAGE/TOOLCHAIN/BUILD), by findings (globs over keys) that refute it.

    Where `figure_is` says something, the check's `figure` must be that, too; where it `saves` something, that much less
    than on the base.
    """

    check: Name
    cell: str
    refuted_by: tuple[str, ...] = ()
    figure: str = ""
    figure_is: str = ""
    saves: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _can_be_refuted(self) -> DecidedBy:
        if not (self.refuted_by or (self.figure and (self.figure_is or self.saves))):
            raise ValueError("refuted_by, or figure with figure_is or saves, is needed")
        return self


class MeasuredBy(Frozen):
    """What decides a claim about time: a measure of `perf-matrix compare` in a cell (IMAGE/TOOLCHAIN/BUILD).

    The ratio of the tree's time to the base's must be `at_most` this.
    """

    measure: Name
    cell: str
    at_most: float = Field(gt=0)


class Claim(Frozen):
    """Something that a series says of itself, from `configs/claims/NAME.yaml`; `patch` 0 is the whole series.

    What is `undecided` (the reason) has no answer, even where `decided_by` or `measured_by` gives a figure.
    """

    name: Name
    summary: str
    patch: int = 0
    decided_by: DecidedBy | None = None
    measured_by: MeasuredBy | None = None
    undecided: str = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> Claim:
        if (self.decided_by and self.measured_by) or not (self.decided_by or self.measured_by or self.undecided):
            raise ValueError("one of decided_by, measured_by and undecided is needed")
        return self


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
    lacks: dict[str, str] = {}
    renamed_tests: dict[str, str] = {}
    touch_source: str = "tools/perf/util/evsel.c"
    touch_header: str = "tools/perf/util/pmus.h"
    string_unit: bool = False
    barriers: dict[str, tuple[str, ...]] = {"prepare": ()}
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


class Profile(Frozen):
    """A selection with a name, from `configs/profiles/NAME.yaml`.

    `require` is what `perf-matrix compare` must come to: `build at least 5 % faster`, `no-op no slower than 2 %`.
    """

    name: Name
    summary: str
    select: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    trees: tuple[str, ...] = ("7.3",)
    require: tuple[str, ...] = ()


class Limits(Frozen):
    """What a cell may use. Past any of these its step is ended and its build has failed."""

    memory_bytes: int = 8 << 30
    disk_bytes: int = 4 << 30
    pids: int = 2048
    step_s: int = 1200


class Cell(Frozen):
    """Image x toolchain x build x tree: the unit that is run, stored and selected."""

    image: Image
    toolchain: Name
    build: Build
    tree: Tree

    @property
    def id(self) -> str:
        """`debian-trixie/gcc/static@7.3`."""
        return f"{self.image.name}/{self.toolchain}/{self.build.name}@{self.tree.name}"

    @property
    def path(self) -> PurePosixPath:
        """The cell's folder inside a run."""
        return PurePosixPath(self.id)

    @property
    def perf_tests(self) -> tuple[str, ...]:
        """The build's perf tests by the names that the tree has for them."""
        return tuple(self.tree.renamed_tests.get(name, name) for name in self.build.perf_tests)

    @property
    def make(self) -> dict[str, str]:
        """Every make variable of the cell, the build's own last."""
        return {**self.image.toolchains[self.toolchain], **self.build.make}


class KnownFailure(Frozen):
    """One entry of known-failures.yaml: findings of one check that are shown to be the tree's own fault.

    Each of `trees` is a glob over tree names, or the beginning of a kernel version, so that a branch on top of it is
    meant too.
    Each of `findings` is a glob over finding keys (`KIND:SUBJECT`); `cells` are globs too. What is
    `intermittent` was seen to come and go with nothing changed, so its absence proves nothing.
    """

    trees: tuple[str, ...] = Field(min_length=1)
    cells: tuple[str, ...] = Field(min_length=1)
    check: Name
    findings: tuple[str, ...] = Field(min_length=1)
    why: str = Field(min_length=1)
    evidence: str = Field(min_length=1)
    intermittent: bool = False
