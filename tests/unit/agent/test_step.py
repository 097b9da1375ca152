from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.unit.agent.running import ARGV, command, run

if TYPE_CHECKING:
    from pathlib import Path


def sh(script: str) -> tuple[str, str, str]:
    return "sh", "-c", script


SPEC = json.dumps(
    {
        "users": None,
        "folders": [],
        "touch": [],
        "roots": {"output": "/etc"},
        "merged": "",
        "keep_going": False,
        "commands": [],
    }
)


def test_the_first_command_that_fails_ends_the_step() -> None:
    said = run(command("true"), command("false"), command("true"))
    assert [facts["exit_status"] for facts in said.commands] == [0, 1]
    assert said.records[-1][0] == "end"


def test_a_step_that_keeps_going_runs_them_all() -> None:
    said = run(command("false"), command("true"), keep_going=True)
    assert [facts["exit_status"] for facts in said.commands] == [1, 0]


def test_processes_come_before_the_command_that_they_belong_to() -> None:
    said = run(command(*sh("/bin/true; exit 0")), command("true"))
    assert [record[0] for record in said.records] == ["process", "process", "command", "process", "command", "end"]


def test_facts_beyond_all_bounds_end_the_step(tmp_path: Path) -> None:
    program = (
        f"import matrix.agent.records as r; r.FACTS_BYTES = 2000; from matrix.agent import step; step.main([{SPEC!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"the step's facts exceed 2000 bytes\n")
    assert 0 < len(done.stdout) <= 2000
    assert done.stdout.endswith(b"}]\n")


def test_a_step_may_be_told_in_parts() -> None:
    text = json.dumps({**json.loads(SPEC), "roots": {}})
    done = subprocess.run([*ARGV, "step", text[:7], text[7:]], capture_output=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])[0] == "end"
