"""Builds: named configurations of make, and the properties that a finished build must have."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from matrix.model.base import Frozen, GoalName, MakeName, Name

ADHOC = "adhoc-"
"""The beginning of the names of builds that a command line says and no file."""


class Expect(Frozen):
    """The properties that a finished build must have.

    `options` are those that `perf version --build-options` prints, `features` those of the file FEATURE-DUMP; `flags`
    says of words of perf.c's compilation whether they are in its command line, `commands` of texts whether any command
    line of the build has them. `processes` maps a program's name, or
    `total`, to the number of its processes that a second make may run. Nothing is expected of a `linkage` or of
    `bpf_skeletons` that are None.
    """

    # The values are in perf's and make's own words.
    options: dict[str, Literal["on", "OFF"]] = Field(default_factory=dict)
    features: dict[str, Literal["0", "1"]] = Field(default_factory=dict)
    flags: dict[str, bool] = Field(default_factory=dict)
    commands: dict[str, bool] = Field(default_factory=dict)
    linkage: Literal["dynamic", "static"] | None = "dynamic"
    bpf_skeletons: bool | None = True
    processes: dict[str, int] = Field(default_factory=dict)


class Build(Frozen):
    """One build configuration, from `configs/builds/NAME.yaml`; values of make variables are strings.

    `extends` names another build whose keys apply to this one too; mappings are merged key by key. `out_of_tree` builds
    with `O=` and the output folder as `output_word` names it: by its path, with a slash at the end, or from the tree's
    folder, in which make is begun. `makes_program` is false for goals that do not make perf itself. `start_method` is
    the one of Python's multiprocessing that the build forces on the generator. `requires` are names that an image must
    provide. `perf_tests` are names of perf's own tests to run.
    """

    name: Name
    summary: str
    extends: str = ""
    # Strings alone: an unquoted NO is false in YAML 1.1, and 1.10 is the number 1.1.
    make: dict[MakeName, str] = Field(default_factory=dict)
    environment: dict[MakeName, str] = Field(default_factory=dict)
    goals: tuple[GoalName, ...] = ()
    makes_program: bool = True
    out_of_tree: bool = False
    output_word: Literal["/out", "/out/", "../out"] = "/out"
    start_method: Literal["spawn", "forkserver", "fork"] | None = None
    requires: tuple[Name, ...] = ()
    expect: Expect = Expect()
    perf_tests: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_told_where(self) -> Self:
        if self.output_word != "/out" and not self.out_of_tree:
            raise ValueError("output_word is for builds that are out_of_tree")
        return self

    @property
    def is_adhoc(self) -> bool:
        """Whether a command line says the build and no file."""
        return self.name.startswith(ADHOC)
