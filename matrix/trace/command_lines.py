"""The command lines of a step's processes: which one made a file, how one is shown. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from matrix.scenario import perf
from matrix.trace import file_access

if TYPE_CHECKING:
    from matrix.scenario.observations import Process, StepFacts

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
    file = step.files.get(path)
    if file is None:
        return ""
    at = file.mtime_ns / 1e9
    near = [
        process
        for process in step.processes
        if process.argv and process.start <= at + 0.01 and (process.end or at) >= at - 0.05 and names(process, path)
    ]
    near.sort(
        key=lambda process: (
            process.program in ("sh", "bash", "dash"),
            process.program == "make",
            -process.start,
        )
    )
    return text(near[0]) if near else ""


def generator_argv(build: StepFacts, generator: str) -> tuple[str, ...]:
    """Return the command line of the generator that wrote the event tables in the build, or nothing.

    Of several runs it is the one that writes C and was given the most words: the others check the generator.
    """
    runs = [
        process.argv
        for process in build.processes
        if any(word.endswith(f"/{generator}") for word in process.argv[:3])
        and perf.writes_tables(process.argv)
        and not process.program.endswith("sh")
    ]
    return max(runs, key=len, default=())
