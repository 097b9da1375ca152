"""The command line that runs a cell again. Pure."""

from __future__ import annotations

import itertools
import shlex
from typing import TYPE_CHECKING

from matrix.config import adhoc_build
from matrix.model.cell import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.model.cell import Cell


def reproduce(cell: Cell, configs: Sequence[str], jobs: int, limits: Limits, base: str = "") -> str:
    """Return the command line that builds this cell again, quoted for a shell.

    `configs` are the user's own folders of configuration, `base` is the word for the tree that the cell is compared
    with, if any.
    """
    own = itertools.chain.from_iterable(("--configs", folder) for folder in configs)
    trees = ["--tree", cell.tree.asked, *(["--base", base] if base else [])]
    words = [*own, *trees, *_place(cell), "-j", str(jobs), *_bounds(limits), "--fresh"]
    return shlex.join(["perf-matrix", "run", *words])


def _place(cell: Cell) -> list[str]:
    """Return the options that select a cell's place; those of an ad-hoc build say what it is."""
    if not cell.build.is_adhoc:
        return ["--select", cell.place]
    toolchain = [] if cell.toolchain == adhoc_build.TOOLCHAIN else ["--toolchain", cell.toolchain]
    return ["--image", cell.image.name, *toolchain, *adhoc_build.words(cell.build)]


def _bounds(limits: Limits) -> Iterator[str]:
    """Yield the options for the limits that differ from the default ones."""
    usual = _options(Limits()) | {"--cell-timeout": Limits(step_s=limits.step_s).cell_s}
    for option, value in _options(limits).items():
        if value != usual[option]:
            yield from (option, str(value))


def _options(limits: Limits) -> dict[str, int]:
    """Map the options of `perf-matrix run` to limits, in the options' units: seconds, MiB, MiB and a number."""
    return {
        "--timeout": limits.step_s,
        "--cell-timeout": limits.cell_s,
        "--memory": limits.memory_bytes >> 20,
        "--disk": limits.disk_bytes >> 20,
        "--pids": limits.pids,
    }
