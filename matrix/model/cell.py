"""Cells: image x toolchain x build x tree, the globs that select them, and their limits."""

from __future__ import annotations

from pathlib import PurePosixPath

from pydantic import Field

from matrix.model import globs
from matrix.model.base import Frozen, Name
from matrix.model.build import Build
from matrix.model.cell_id import CellId, Place
from matrix.model.image import Image
from matrix.model.tree import Tree


def matches(cell_id: str, glob: str) -> bool:
    """Return whether a glob selects a cell's id.

    A glob without `@` matches every tree; one without `/` is a glob over images (`debian-*`, `debian-*@7.3`).
    """
    pattern = glob if "@" in glob else f"{glob}@*"
    if "/" not in pattern:  # in fnmatch `*` matches `/` too, so that one stands for toolchain and build
        pattern = pattern.replace("@", "/*@", 1)
    return globs.matches(cell_id, pattern)


CELL_STEPS = 4
"""The number of steps that may take all of their time before the cell's is over."""


class Limits(Frozen):
    """The resources that a cell may use: a step that exceeds one of them is ended, and its build has failed.

    `step_s` is the time of a command of a step, `cell_s` that of all steps together.
    """

    # Far above what a build of perf needs, so that only a runaway build meets them.
    memory_bytes: int = 8 << 30
    disk_bytes: int = 4 << 30
    pids: int = 2048
    step_s: int = 1200
    # The two builds of a cell, and as much again for its other steps, each of which takes a tenth of a build.
    cell_s: int = Field(default_factory=lambda given: CELL_STEPS * given["step_s"])


class Cell(Frozen):
    """Image x toolchain x build x tree: the unit that is run, stored and selected."""

    image: Image
    toolchain: Name
    build: Build
    tree: Tree

    @property
    def place(self) -> Place:
        """The place of the cell: `debian-trixie/gcc/static`."""
        return Place(f"{self.image.name}/{self.toolchain}/{self.build.name}")

    @property
    def id(self) -> CellId:
        """The id of the cell: `debian-trixie/gcc/static@7.3`."""
        return self.place.on(self.tree.name)

    @property
    def path(self) -> PurePosixPath:
        """The cell's folder in a run, relative to the run's folder `cells`."""
        return PurePosixPath(self.id)

    @property
    def perf_tests(self) -> tuple[str, ...]:
        """The build's perf tests by the names that the tree has for them."""
        return tuple(self.tree.renamed_tests.get(name, name) for name in self.build.perf_tests)

    @property
    def make(self) -> dict[str, str]:
        """Every make variable of the cell: the toolchain's and the build's, which has precedence.

        A stranger's cell may have a toolchain that its image has not.
        """
        return {**self.image.toolchains.get(self.toolchain, {}), **self.build.make}
