from __future__ import annotations

import configparser
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from matrix.config import load
from matrix.runs import launch
from matrix.runs.interrupts import interruptible

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 60
TOX_INI = load.resources() / "tox.ini"
TIMEOUTS = ("suicide_timeout", "interrupt_timeout", "terminate_timeout")
ENDS_SLOWLY = """
import time
from matrix.runs.interrupts import interruptible
with interruptible():
    try:
        print("begun", flush=True)
        time.sleep(600)
    finally:
        time.sleep(2)
        print("to go on: perf-matrix run --resume RUN", flush=True)
"""


def timeouts(environment: str = "testenv") -> dict[str, float]:
    parser = configparser.ConfigParser()
    parser.read(TOX_INI)
    return {name: parser.getfloat(environment, name) for name in TIMEOUTS}


def test_tox_gives_a_run_the_time_that_it_needs_to_end_its_cells_and_is_told_of_an_interrupt_at_once() -> None:
    assert timeouts()["suicide_timeout"] == 0
    assert timeouts()["interrupt_timeout"] > launch.END_S + launch.KILL_S


@pytest.mark.parametrize("to_all", [True, False])
def test_an_interrupt_of_tox_lets_a_command_end_in_its_own_words(tmp_path: Path, *, to_all: bool) -> None:
    """A terminal's Ctrl-C reaches the command twice, from the terminal and from tox; a kill of tox alone, once."""
    script = tmp_path / "command.py"
    script.write_text(ENDS_SLOWLY)
    values = "\n".join(f"{name} = {value}" for name, value in timeouts().items())
    (tmp_path / "tox.ini").write_text(
        "[tox]\nskipsdist = true\n[testenv:matrix]\nskip_install = true\nallowlist_externals = *\n"
        f"pass_env = PYTHONPATH\n{values}\ncommands = {sys.executable} {script}\n"
    )
    argv = [sys.executable, "-m", "tox", "-e", "matrix", "--workdir", str(tmp_path / "work")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOX", "PYTEST"))}
    process = subprocess.Popen(
        argv,
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if line == "begun\n":
            break
    assert seen[-1:] == ["begun\n"], seen
    (os.killpg if to_all else os.kill)(process.pid, signal.SIGINT)
    said = process.communicate(timeout=PATIENCE_S)[0]
    assert "to go on: perf-matrix run --resume RUN" in said, said


def test_the_end_that_a_signal_began_is_cut_short_by_sigterm_alone() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_hangup_that_is_ignored_as_under_nohup_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
