"""Reports of a run: one module per format, found by listing this folder. Pure."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from typing import TYPE_CHECKING, Literal

from matrix.errors import ExitStatus
from matrix.model.base import Frozen
from matrix.model.result import CellResult, Verdict, worst
from matrix.verdicts.regressions import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Report(Frozen):
    """A run as it is reported: `tree` names the trees, `missing` the cells that have no result, `notes` the rest.

    Where it is a gate's or a series', `gate` says what is a head's doing, and its verdict is the report's.
    """

    schema_version: Literal[1] = 1
    run: str
    tree: str
    folder: str
    verdict: Verdict
    cells: tuple[CellResult, ...]
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    gate: Gate | None = None


def formats() -> dict[str, Callable[[Report], str]]:
    """Return each format's renderer by its name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").render for name in names}


def build(run: str, folder: str, trees: Sequence[str], wanted: Sequence[str], cells: Sequence[CellResult]) -> Report:
    """Return the report of a run whose cells were to be `wanted`; a cell without a result counts as an ERROR."""
    there = {cell.id for cell in cells}
    missing = tuple(cell_id for cell_id in wanted if cell_id not in there)
    verdicts = [cell.verdict for cell in cells] + [Verdict.ERROR for _ in missing]
    return Report(
        run=run,
        tree=", ".join(trees),
        folder=folder,
        verdict=worst(verdicts),
        cells=tuple(sorted(cells, key=lambda cell: cell.id)),
        missing=missing,
        notes=(*same_builds(cells), *_went_on(cells)),
    )


def same_builds(cells: Sequence[CellResult]) -> list[str]:
    """Return a note for each two cells of one image, toolchain and tree that turned out to be the same build.

    They are when make was given different words, in the same environment, and the program came out the same.
    """
    return [
        f"{one.id} and {two.id} are the same build under two names: their perf is equal to the byte"
        for one, two in itertools.combinations(cells, 2)
        if _place(one) == _place(two) and one.program_sha256 and one.program_sha256 == two.program_sha256
    ]


def _went_on(cells: Sequence[CellResult]) -> list[str]:
    """Return a note where cells are none that were built from scratch: their first build is not what it seems."""
    trees = [cell.gone_on.tree for cell in cells if cell.gone_on]
    names = ", ".join(sorted(set(trees)))
    said = f"{len(trees)} cells went on with what was built of {names}: neither build of theirs is one from scratch"
    return [said] if trees else []


def _place(cell: CellResult) -> tuple[str, str, str]:
    image, toolchain, rest = cell.id.split("/", 2)
    return image, toolchain, f"{rest.partition('@')[2]} {sorted(cell.environment.items())} {cell.out_of_tree}"


def exit_status(report: Report) -> ExitStatus:
    """Return the process's exit status: 0 all right, 1 cells failed or undecided, 3 the infrastructure."""
    if report.gate:
        decided = {Verdict.PASS: ExitStatus.OK, Verdict.ERROR: ExitStatus.INFRASTRUCTURE}
        return decided.get(report.verdict, ExitStatus.CELLS_FAILED)
    verdicts = {cell.verdict for cell in report.cells}
    if verdicts & {Verdict.FAIL, Verdict.INCONCLUSIVE}:
        return ExitStatus.CELLS_FAILED
    if report.missing or Verdict.ERROR in verdicts or not report.cells:
        return ExitStatus.INFRASTRUCTURE
    return ExitStatus.OK if verdicts & {Verdict.PASS, Verdict.XFAIL} else ExitStatus.CELLS_FAILED
