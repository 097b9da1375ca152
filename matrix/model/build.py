"""Builds: configurations of make."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from matrix.model.base import Frozen, MakeName, Name


class Expect(Frozen):
    """What a finished build must be: options as `perf version --build-options` prints them, FEATURE-DUMP.

    `processes` maps a program, or `total`, to how many of it a second make may run.
    """

    options: dict[str, Literal["on", "OFF"]] = Field(default_factory=dict)
    features: dict[str, Literal["0", "1"]] = Field(default_factory=dict)
    linkage: Literal["dynamic", "static"] = "dynamic"
    bpf_skeletons: bool = True
    processes: dict[str, int] = Field(default_factory=dict)


class Build(Frozen):
    """One build configuration, from `configs/builds/NAME.yaml`; make values are strings, as make has them.

    `extends` names a build whose keys this one takes over; mappings are merged key by key.
    """

    name: Name
    summary: str
    extends: str = ""
    make: dict[MakeName, str] = Field(default_factory=dict)
    environment: dict[MakeName, str] = Field(default_factory=dict)
    goals: tuple[MakeName, ...] = ()
    out_of_tree: bool = False
    start_method: Literal["spawn", "forkserver", "fork"] | None = None
    requires: tuple[Name, ...] = ()
    expect: Expect = Expect()
    perf_tests: tuple[str, ...] = ()
