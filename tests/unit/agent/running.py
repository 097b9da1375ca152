"""Runs the agent as a program, on small commands of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matrix import agent

AGENT = Path(agent.__file__).parent
ARGV = (sys.executable, "-m", "matrix.agent")


@dataclass(frozen=True)
class Said:
    """What one run of the agent said: its records, what the commands printed, its exit status."""

    records: list[list[Any]]
    log: bytes
    status: int

    def all(self, kind: str) -> list[Any]:
        return [record[1:] for record in self.records if record[0] == kind]

    @property
    def processes(self) -> list[dict[str, Any]]:
        return [facts for _, facts in self.all("process")]

    @property
    def commands(self) -> list[dict[str, Any]]:
        return [facts for [facts] in self.all("command")]

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        return {path: facts for _, path, facts in self.all("file")}


def command(*argv: str, **more: Any) -> dict[str, Any]:
    values = {
        "label": "it",
        "argv": list(argv),
        "cwd": "/",
        "env": {"PATH": os.environ["PATH"]},
        "umask": 0o022,
        "timeout_s": 60,
        "trace": True,
        "capture": True,
        "log_bytes": 1 << 20,
    }
    return {**values, **more}


def run(*commands: dict[str, Any], **more: Any) -> Said:
    """Run the agent on a step of these commands."""
    step: dict[str, Any] = {
        "users": None,
        "folders": [],
        "touch": [],
        "roots": {},
        "merged": "",
        "keep_going": False,
        "commands": list(commands),
    }
    argv = [*ARGV, "step", json.dumps({**step, **more})]
    done = subprocess.run(argv, capture_output=True, check=False)
    return Said([json.loads(line) for line in done.stdout.splitlines()], done.stderr, done.returncode)
