"""The check that a result written on another machine is consistent with its own cell definition. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matrix.errors import UsageError
from matrix.model.cell import Limits
from matrix.scenario import environments, plan
from matrix.untrusted import short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.model.cell import Cell
    from matrix.model.result import CellResult

LONGEST_ID = 200
"""The most characters of an id: its parts are names of folders, which most file systems bound at 255 bytes."""

MOST_JOBS = 1024
"""The most jobs of a result: a reproduction runs make with as many."""
LEAST = Limits(memory_bytes=64 << 20, disk_bytes=16 << 20, pids=16, step_s=1, cell_s=1)
"""The least limits that `perf-matrix run` takes."""


def definition(result: CellResult) -> Cell:
    """Return the definition of a result's cell.

    Raises:
        UsageError: the result has none, as an older version wrote it.

    """
    if result.definition is None or not result.jobs:
        raise UsageError(
            f"the result of {short(result.id)} has no definition of its cell: version "
            f"{short(result.tool_version)}, or an older one, wrote it",
            "Run the cell again with this version, and take that result.",
        )
    return result.definition


def commands(cell: Cell, result: CellResult) -> dict[str, str]:
    """Map the steps of a cell to the text of their commands, as the plan gives them."""
    # A build that continues a kept build touches the files in which the two trees differ.
    touched = result.gone_on.touched if result.gone_on else ()
    return {step.name: step.text for step in plan.scenario(cell, result.jobs, planted=touched).steps}


def check(result: CellResult) -> Cell:
    """Return the cell of a result that may be a stranger's, after checking that the result is consistent.

    Its id, make variables, environment and the command of every step must be those that its definition yields.

    Raises:
        UsageError: the result is inconsistent, or has values that no result has.

    """
    cell = definition(result)
    # Values and sizes first: the later checks make messages, plans and paths of them.
    _check_values(result)
    _check_sizes(result, cell)
    if cell.toolchain not in cell.image.toolchains:
        raise _refused(f"its image has no toolchain {short(cell.toolchain)}")
    _check_names(result, cell)
    _check_commands(result, cell)
    return cell


def _check_values(result: CellResult) -> None:
    for value in _values(result.model_dump(mode="python")):
        if _is_impossible(value):
            raise _refused(f"it holds {short(repr(value))}, which no result does")


def _is_impossible(value: Any) -> bool:
    """Return whether a value has a NUL byte, as no path or command has, or is no finite number, as no time is."""
    if isinstance(value, str):
        return "\0" in value
    return isinstance(value, float) and not math.isfinite(value)


def _check_sizes(result: CellResult, cell: Cell) -> None:
    if len(cell.id) > LONGEST_ID or not 1 <= result.jobs <= MOST_JOBS:
        raise _refused(f"an id of {len(cell.id)} characters and {result.jobs} jobs is beyond what a result can have")
    _check_limits(result.limits)


def _check_limits(given: Limits) -> None:
    limits = given.model_dump()
    for name, least in LEAST.model_dump().items():
        if limits[name] < least:
            raise _refused(f"its limit {name} is {limits[name]}, and {least} is the least")


def _check_names(result: CellResult, cell: Cell) -> None:
    """Refuse a result whose own facts differ from those of its definition, which alone are used to run the cell."""
    said = {
        "id": (result.id, cell.id),
        "image": (result.image.name if result.image else cell.image.name, cell.image.name),
        "tree": (result.tree.name if result.tree else cell.tree.name, cell.tree.name),
        "edits": (cell.tree.name[len(cell.tree.unedited.name) :], cell.tree.suffix),
        "make variables": (result.make, cell.make),
        "environment": (result.environment, environments.of_builds(cell)["first"]),
        "output folder": (result.out_of_tree, cell.build.out_of_tree),
    }
    # A result without identities (it ended early) has nothing to compare, and passes with its definition's names.
    for what, (found, given) in said.items():
        if found != given:
            raise _refused(f"its {what} and its definition do not agree: {short(str(found))} and {short(str(given))}")


def _check_commands(result: CellResult, cell: Cell) -> None:
    planned = commands(cell, result)
    for step in result.steps:
        if step.command != planned.get(step.name):
            raise _refused(
                f"the command for step {short(step.name)} is not what its build gives: {short(step.command)}",
                f"It is forged, or of a version, {short(result.tool_version)}, that built otherwise. "
                "Nothing of it was run.",
            )


def _values(value: Any) -> Iterator[Any]:
    """Yield every plain value in mappings and sequences, keys included."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from _values(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _values(one)
    else:
        yield value


def _refused(why: str, hint: str = "Ask whoever sent it for another one.") -> UsageError:
    return UsageError(f"the result is refused: {why}", hint)
