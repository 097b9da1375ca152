"""The commands by name, each imported and made of its function's options when it is asked for.

A command needs one of the twenty: to make them all takes a tenth of the time of `perf-matrix list`.
"""

from __future__ import annotations

import importlib
from collections import UserDict
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "list": "look.list_cells",
    "plan": "look.plan",
    "run": "runs.run",
    "report": "runs.report",
    "runs": "runs.runs",
    "merge": "runs.merge",
    "series": "series.series",
    "gate": "gate.gate",
    "bisect": "bisect.bisect",
    "bisect-step": "bisect.bisect_step",
    "repro": "repro.repro",
    "bundle": "repro.bundle",
    "mutants": "trust.mutants",
    "claims": "trust.claims",
    "trace": "timing.trace",
    "compare": "timing.compare",
    "predict": "timing.predict",
    "worker": "machines.worker",
    "shell": "look.shell",
    "doctor": "machine.doctor",
    "clean": "machine.clean",
    "engine": "machine.engine_app",
    "images": "images.images_app",
}
"""The module of this folder and the function of each command, or its group of commands; `--help` has this order."""

HIDDEN = frozenset({"bisect-step"})
"""The commands that `--help` does not name: another command calls them."""


class _Made(UserDict[str, Any]):
    """The commands that were asked for, by name; its keys are the names of all."""

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            self.data[name] = _made(name)
        return self.data[name]


def _made(name: str) -> Any:
    """Return the click command of a name."""
    module, _, function = COMMANDS[name].partition(".")
    found = getattr(importlib.import_module(f"matrix.cli.{module}"), function)
    app = found if isinstance(found, typer.Typer) else typer.Typer(add_completion=False)
    if app is not found:
        app.command(name, hidden=name in HIDDEN)(found)
    made: Any = typer.main.get_command(app)
    made.name = name
    return made


class OnDemand(TyperGroup):
    """The group of all commands."""

    def __init__(self, **how: Any) -> None:
        """Take the group's own options; its commands are those of COMMANDS."""
        super().__init__(**{**how, "commands": _Made(dict.fromkeys(COMMANDS))})
