"""Injects one fault into a process of the matrix, at the boundary and number that a plan names.

Faults are raised from an audit hook (PEP 578), which sees every call to the system before it is made, whichever code
makes it; what has no such event is wrapped. Nothing of the program under test is changed for it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from . import children, faulty_files, system_calls, times
from .injector import Injector, State

PLAN = "MATRIX_FAULT_PLAN"
"""The environment variable with the path of the plan, a JSON object with the fields of `Injector`."""


def _role() -> str:
    """Return which process of a run this is; nothing for any other Python."""
    words = sys.orig_argv
    if words[1:3] == ["-m", "matrix"]:
        return "command"
    if words[1:3] == ["-m", "pytest"]:
        return "controller"
    return "worker" if "-c" in words and "exec(eval(sys.stdin.readline()))" in words[-1] else ""


def install() -> None:
    """Put the boundaries under watch, once in an interpreter."""
    faulty_files.install()
    children.install()
    times.install()
    sys.addaudithook(system_calls.hook)


def arm() -> None:
    """Take the plan for this process, if it is one of a run's and there is one."""
    State.injector = None
    role = _role()
    if role and PLAN in os.environ:
        State.injector = Injector(json.loads(Path(os.environ[PLAN]).read_bytes()), role)


def begin() -> None:
    """Watch this process from its start, if it is one of a run's and there is a plan."""
    if PLAN in os.environ and _role():
        times.shorten_on_import()
        install()
        arm()
