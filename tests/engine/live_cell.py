"""A live cell of the fake tree, and programs that look at it from inside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from matrix.engine.api import USERS
from matrix.model.cell import Limits
from matrix.runs import step_specification
from tests.unit.agent.running import command

if TYPE_CHECKING:
    from matrix.engine.api import Container

LIMITS = Limits(memory_bytes=256 << 20, disk_bytes=64 << 20, pids=64)


def records(container: Container, *argv: str, **more: Any) -> list[list[Any]]:
    """Run a command as a step of a build does, and return the agent's records."""
    run = command(*argv, cwd="/src", trace=more.pop("trace", True))
    spec = {"users": USERS, "folders": [], "touch": [], "roots": {}, "merged": "", "keep_going": False, **more}
    log: list[bytes] = []
    words = step_specification.in_parts({**spec, "commands": [run]})
    status, out = container.agent(words, log.append, 120)
    assert status == 0, b"".join(log).decode()
    return [json.loads(line) for line in out.splitlines()]


def python(container: Container, text: str) -> Any:
    """Run a Python program in a cell and return what it printed as JSON."""
    said = records(container, "python3", "-c", f"import json, os, socket, stat\n{text}")
    [facts] = [record[1] for record in said if record[0] == "command"]
    assert facts["exit_status"] == 0, facts["output"]
    assert facts["traced"]
    return json.loads(facts["output"])


TRY = """
def attempt(what, *words):
    try:
        what(*words)
    except OSError as error:
        return error.strerror
    return "done"
"""
