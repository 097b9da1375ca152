"""The specification of a step, which matrix/agent/step.py reads as JSON: what to touch, to run and to scan."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from matrix.engine.api import USERS
from matrix.scenario import perf, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matrix.scenario.plan import Invocation, Step

ARGUMENT_BYTES = 64 << 10
"""The length of each part of the agent's command line; MAX_ARG_STRLEN (linux/binfmts.h) is twice as much."""


def words(step: Step, invocations: Sequence[Invocation], roots: Mapping[str, str] | None = None) -> list[str]:
    """Return the agent's command line for a step (see `of`)."""
    return in_parts(of(step, invocations, roots))


def in_parts(specification: dict[str, Any]) -> list[str]:
    """Return the agent's command line for a specification, in parts, as execve(2) bounds each argument."""
    text = json.dumps(specification)
    return ["step", *(text[at : at + ARGUMENT_BYTES] for at in range(0, len(text), ARGUMENT_BYTES))]


def of(step: Step, invocations: Sequence[Invocation], roots: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a step's specification.

    `roots` maps the names of the folders that the agent scans to their paths; None for the usual ones.
    """
    if roots is None:
        roots = {"generated": plan.GENERATED} if step.replays else {"source": "/layer/upper", "output": perf.OUTPUT}
    mounted = {perf.OUTPUT, "/layer/upper"}  # by the engine, so the agent need not make them, and could not
    folders = {one.folder for one in invocations if one.folder} | {one.environment["HOME"] for one in invocations}
    return {
        "users": USERS,
        "folders": sorted(folders | set(roots.values()) - mounted),
        "touch": list(step.touch),
        "roots": dict(roots),
        "merged": perf.SOURCE,
        "keep_going": step.keep_going,
        "commands": [_command(step, one) for one in invocations],
    }


def _command(step: Step, one: Invocation) -> dict[str, Any]:
    return {
        "label": one.command.label,
        "argv": list(one.command.argv),
        "cwd": perf.FOLDER if step.replays else perf.SOURCE,
        "env": one.environment,
        "umask": step.umask,
        "timeout_s": step.timeout_s,
        "trace": one.command.traced,
        "capture": one.command.captured,
        "log_bytes": step.log_bytes,
    }
