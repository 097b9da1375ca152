"""Checks: pure functions of observations to findings; each module of this folder adds one, its `CHECK`."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matrix import registry as extension_points
from matrix.trace.command_lines import maker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matrix.model.result import Finding
    from matrix.scenario.observations import Observations
    from matrix.scenario.step_facts import StepFacts


Figures = dict[str, int | float | str]
"""Counts, sizes and words that are reported whatever the verdict is, each by a name for people."""


@dataclass(frozen=True)
class Examined:
    """The answer of a check for one cell."""

    findings: tuple[Finding, ...] = ()
    # How many things the check looked at: none, without a `skip` reason, is a failure.
    examined: int = 0
    figures: Figures = field(default_factory=dict)
    # Why the check does not apply to the cell.
    skip: str = ""


@dataclass(frozen=True)
class Check:
    """A check, which a module of this folder adds as `CHECK`."""

    # The name in results, in `--check` and in known-failures.yaml.
    name: str
    # One sentence for people.
    summary: str
    # The steps whose failure is a failure of this check.
    owns: tuple[str, ...]
    # Those of its own steps that a scenario may be without; the check then looks at the others.
    may_lack: tuple[str, ...] = field(default=(), kw_only=True)
    # The other steps without which the check is skipped.
    needs: tuple[str, ...]
    # The pure function that looks at a cell all of whose owned and needed steps succeeded.
    examine: Callable[[Observations], Examined]
    # Whether the check needs the processes of the steps, and so is skipped where ptrace is forbidden.
    processes: bool = False


def registry() -> dict[str, Check]:
    """Return every check by its name, in the order of the names."""
    return {check.name: check for check in extension_points.load(__name__, "CHECK", Check).values()}


def steps(names: Iterable[str]) -> frozenset[str]:
    """Return the names of the steps that the checks of these names own or need."""
    wanted = set(names)
    found: set[str] = set()
    for name, check in registry().items():
        if name in wanted:
            found |= {*check.owns, *check.needs}
    return frozenset(found)


def parents(paths: Iterable[str]) -> set[str]:
    """Return all folders above paths."""
    found: set[str] = set()
    for path in paths:
        folder = posixpath.dirname(path)
        while folder not in found:  # those above one that was found are found
            found.add(folder)
            folder = posixpath.dirname(folder)
    return found


def made_by(step: StepFacts, path: str) -> str:
    """Return as evidence the command line that wrote a file in a step, or nothing where it cannot be told."""
    command_line = maker(step, path)
    return f"made by: {command_line}" if command_line else ""
