"""The command lines of a step's processes: which one made a file, how one is shown. Pure."""

from __future__ import annotations

import shlex
from functools import lru_cache
from typing import TYPE_CHECKING

from matrix.scenario import perf
from matrix.trace import file_access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.step_facts import Process, StepFacts

# A link of perf has thousands of characters; findings and bars have room for the words that tell it from others.
TEXT_CHARS = 300


def text(process: Process) -> str:
    """Return a process's command line as a shell reads it, cut to TEXT_CHARS characters."""
    line = shlex.join(process.argv)
    return line if len(line) <= TEXT_CHARS else line[: TEXT_CHARS - 1] + "…"


def names(process: Process, path: str) -> bool:
    """Return whether a word of the process's command line is this file, by itself or inside a shell command."""
    return path in file_access.of(process).names


def maker(step: StepFacts, path: str) -> str:
    """Return the command line of the process that most likely wrote a file, or nothing where no process can be named.

    Of the processes that name the file and ran at its mtime, the last one that was started is chosen; a recipe's shell
    is chosen only where no program that it ran names the file.
    """
    if path not in step.files:
        return ""
    likeliest = min(_possible_makers(step, path), key=_unlikeliness, default=None)
    return "" if likeliest is None else text(likeliest)


def _possible_makers(step: StepFacts, path: str) -> Iterator[Process]:
    """Yield the processes that name a file and ran when it was written."""
    at = step.files[path].mtime_ns / 1e9
    naming = _by_name(_OneStep(step)).get(path, ())
    yield from (process for process in naming if _runs_at(process, at))


class _OneStep:
    """A step as the key of a cache: it is equal to itself alone, which takes no comparison of all its facts."""

    def __init__(self, step: StepFacts) -> None:
        self.step = step

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _OneStep) and self.step is other.step

    def __hash__(self) -> int:
        return id(self.step)


# Checks ask for the maker of each of some thousand files, of one step after the other.
@lru_cache(maxsize=16)
def _by_name(one: _OneStep) -> dict[str, list[Process]]:
    """Map each file that a command line names to the processes that name it."""
    found: dict[str, list[Process]] = {}
    for process in one.step.processes:
        for name in dict.fromkeys(file_access.of(process).names):
            found.setdefault(name, []).append(process)
    return found


def _runs_at(process: Process, at: float) -> bool:
    """Return whether a process ran a program at a time (seconds since the epoch), within the tolerance of mtimes."""
    end = process.end or at
    # mtimes are of the kernel's coarse clock, which lags by up to a tick (10 ms at HZ=100).
    return bool(process.argv) and process.start <= at + 0.01 and end >= at - 0.05


def _unlikeliness(process: Process) -> tuple[bool, bool, float]:
    """Return the sort key of a file's possible writers, the likeliest first: no shell, no make, the last started."""
    return process.program in file_access.SHELLS, process.program == "make", -process.start


def generator_argv(build: StepFacts, generator: str) -> tuple[str, ...]:
    """Return the command line by which the build wrote the event tables with `generator`, or nothing.

    Of several runs that write C, the one with the most words is meant: the others only test the generator.
    """
    runs = (process for process in build.processes if _runs_script(process, generator))
    return max((run.argv for run in runs if perf.writes_tables(run.argv)), key=len, default=())


def _runs_script(process: Process, name: str) -> bool:
    """Return whether a process is a script of this name, and not a shell that starts it."""
    is_shell = process.program.endswith("sh")
    # `python3 -B jevents.py …`: the script follows the interpreter and at most one option.
    return not is_shell and any(word.endswith(f"/{name}") for word in process.argv[:3])
