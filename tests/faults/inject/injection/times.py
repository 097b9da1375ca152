"""The clock that a process reads, and the times that it waits for an engine which does not answer."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
import time
from typing import Any

from .injector import State

DAY_S = 86400

SHORTER: dict[str, dict[str, float]] = {
    "matrix.engine.backends.docker.client": {"ANSWER_S": 10, "WORK_S": 15, "HANGING_S": 2},
    "matrix.engine.backends.docker.streams": {"SILENCE_S": 5, "OVERTIME_S": 5, "CONNECT_S": 10, "END_S": 4},
    "matrix.engine.backends.docker.cell": {"READ_S": 10, "FILL_S": 10},
    "matrix.runs.execution": {"SCAN_S": 10},
}
"""Times that the program waits for an engine which does not answer: minutes, of which a campaign has none."""


def _clock(real: Any) -> Any:
    def now() -> float:
        injector = State.injector
        if injector is None:
            return float(real())
        caller = sys._getframe(1).f_code.co_filename
        if "/matrix/" in caller and injector.at("clock", caller):
            injector.shift_s = float(injector.how) * DAY_S
        return float(real() + injector.shift_s)

    return now


class _Shortening(importlib.abc.MetaPathFinder):
    """Sets the constants of SHORTER in the modules that have them, when they are imported."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        del path, target
        if name not in SHORTER:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            run = loader.exec_module

            def run_and_set(module: Any) -> None:
                run(module)
                for constant, value in SHORTER[name].items():
                    if not hasattr(module, constant):
                        raise AttributeError(f"{name} has no {constant}")
                    setattr(module, constant, value)

            loader.exec_module = run_and_set
        return spec


def shorten() -> None:
    """Set the constants of SHORTER now."""
    for name, constants in SHORTER.items():
        module = importlib.import_module(name)
        for constant, value in constants.items():
            if not hasattr(module, constant):
                raise AttributeError(f"{name} has no {constant}")
            setattr(module, constant, value)


def install() -> None:
    """Let the time of day be read through this module."""
    real_time, real_gmtime = time.time, time.gmtime
    time.time = _clock(real_time)
    time.gmtime = lambda *at: real_gmtime(*(at or (real_time() + (State.injector.shift_s if State.injector else 0),)))


def shorten_on_import() -> None:
    """Set the constants of SHORTER in each of its modules when it is imported."""
    sys.meta_path.insert(0, _Shortening())
