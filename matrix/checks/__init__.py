"""Checks: one module each, found by listing this folder; each is a pure function of observations to findings."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matrix.model.result import Finding
    from matrix.scenario.observations import Observations


@dataclass(frozen=True)
class Examined:
    """What a check found. `examined` counts what it looked at: none, without a `skip` reason, is a failure."""

    findings: tuple[Finding, ...] = ()
    examined: int = 0
    figures: dict[str, int | float | str] = field(default_factory=dict)
    skip: str = ""


@dataclass(frozen=True)
class Check:
    """A check: it `owns` the steps whose failure is its own failure, and `needs` others to say anything.

    One that is of `processes` says nothing where they could not be followed.
    """

    name: str
    summary: str
    owns: tuple[str, ...]
    needs: tuple[str, ...]
    examine: Callable[[Observations], Examined]
    processes: bool = False


def registry() -> dict[str, Check]:
    """Return every check by its name, in the order of the names."""
    found: dict[str, Check] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        check: Check = importlib.import_module(f"{__name__}.{module.name}").CHECK
        found[check.name] = check
    return found


def steps(names: Iterable[str]) -> frozenset[str]:
    """Return the steps that checks of these names need, with those that they own."""
    chosen = [check for name, check in registry().items() if name in set(names)]
    return frozenset(step for check in chosen for step in (*check.owns, *check.needs))
