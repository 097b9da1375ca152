"""The command lines of a step's processes: which one made a file, how one is shown. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from matrix.scenario import perf
from matrix.trace import file_access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.scenario.step_facts import Process, StepFacts

TEXT_CHARS = 300


def text(process: Process) -> str:
    """Return a process's command line, shortened."""
    line = shlex.join(process.argv)
    return line if len(line) <= TEXT_CHARS else line[: TEXT_CHARS - 1] + "…"


def names(process: Process, path: str) -> bool:
    """Return whether a word of the process's command line is this file, by itself or inside a shell command."""
    return path in file_access.of(process).names


def maker(step: StepFacts, path: str) -> str:
    """Return the command line of the process that most likely wrote a file, or nothing where none can be told.

    It is the last one to have started before the file's mtime among those that name the file and were running
    then; a recipe's shell counts only where no program that it ran does.
    """
    if path not in step.files:
        return ""
    likeliest = min(_possible_makers(step, path), key=_unlikeliness, default=None)
    return "" if likeliest is None else text(likeliest)


def _possible_makers(step: StepFacts, path: str) -> Iterator[Process]:
    """Yield the processes that name a file and ran when it was written."""
    at = step.files[path].mtime_ns / 1e9
    running = (process for process in step.processes if _runs_at(process, at))
    yield from (process for process in running if names(process, path))


def _runs_at(process: Process, at: float) -> bool:
    """Return whether a process ran a program at a time, as exactly as files' time stamps tell."""
    end = process.end or at
    return bool(process.argv) and process.start <= at + 0.01 and end >= at - 0.05


def _unlikeliness(process: Process) -> tuple[bool, bool, float]:
    """Return how unlikely a process is the one that wrote a file: shells most, then makes, then earlier ones."""
    return process.program in file_access.SHELLS, process.program == "make", -process.start


def generator_argv(build: StepFacts, generator: str) -> tuple[str, ...]:
    """Return the command line of the generator that wrote the event tables in the build, or nothing.

    Of several runs it is the one that writes C and was given the most words: the others check the generator.
    """
    runs = (process for process in build.processes if _runs_script(process, generator))
    return max((run.argv for run in runs if perf.writes_tables(run.argv)), key=len, default=())


def _runs_script(process: Process, name: str) -> bool:
    """Return whether a process is a script of this name, and not a shell that starts it."""
    is_shell = process.program.endswith("sh")
    return not is_shell and any(word.endswith(f"/{name}") for word in process.argv[:3])
