"""The commands are made when they are asked for, and are then what typer makes of their functions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from matrix import cli
from matrix.cli import on_demand

ROOT = Path(__file__).resolve().parents[3]
IMPORTED = """
import sys
from matrix import cli
sys.argv = ["perf-matrix", "list", "--profile", "smoke"]
try:
    cli.main()
finally:
    print(*sorted(name for name in sys.modules if name.startswith("matrix.cli.")))
"""


@pytest.mark.parametrize("name", on_demand.COMMANDS)
def test_each_command_has_its_name_and_a_summary(name: str) -> None:
    made = on_demand._Made(dict.fromkeys(on_demand.COMMANDS))[name]
    assert made.name == name
    assert made.help
    assert made.hidden == (name in on_demand.HIDDEN)


def test_help_lists_the_commands_in_their_order_and_no_hidden_one() -> None:
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(cli.app, ["--help"]).output
    listed = re.findall(r"^\W* (?!--)([a-z][a-z-]+)  +\S", shown, re.M)
    assert listed == [name for name in on_demand.COMMANDS if name not in on_demand.HIDDEN]
    assert "bisect-step" not in shown


def test_a_command_is_made_once() -> None:
    group = typer.main.get_command(cli.app)
    commands = getattr(group, "commands")  # noqa: B009 - typer's type for a group has it not
    assert list(commands) == list(on_demand.COMMANDS)
    assert commands["list"] is commands["list"]
    assert commands.get("lst") is None


def test_a_command_imports_no_other_ones_module() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].split() == ["matrix.cli.look", "matrix.cli.on_demand", "matrix.cli.options"]
