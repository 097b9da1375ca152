"""The command line of a make: its goals, its variables, the folder in which it runs. Pure.

The options are those of GNU make 4.4 (main.c, `switches`). The words of a make are no files, so they are read here and
not in file_access.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.scenario.step_facts import Process

PROGRAMS = ("make", "gmake")
FOLDER = ("-C", "--directory")
# The options whose value is the next word; values that are joined to an option (`-j4`) need no rule.
TAKE_A_WORD = (*FOLDER, "-f", "-I", "-o", "-W", "--file", "--makefile", "--include-dir")


@dataclass
class MakeArguments:
    """The goals and variables of a make's command line, and the folder of its `-C`, as the option has it."""

    goals: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    folder: str = ""


def is_make(process: Process) -> bool:
    """Return whether a process is a make."""
    return process.program in PROGRAMS


def arguments(argv: Sequence[str]) -> MakeArguments:
    """Return the goals, variables and folder in the command line of a make."""
    found = MakeArguments()
    option = ""
    for word in argv[1:]:
        if option:
            _add_option(found, option, word)
            option = ""
        elif word in TAKE_A_WORD:
            option = word
        elif not word.startswith("-"):
            _add(found, word)
    return found


def _add_option(found: MakeArguments, option: str, value: str) -> None:
    if option in FOLDER:
        found.folder = value


def _add(found: MakeArguments, word: str) -> None:
    name, equals, value = word.partition("=")
    if equals:
        found.variables[name] = value
    else:
        found.goals.append(word)


def folder(process: Process) -> str:
    """Return the absolute path of the folder in which a make runs: that of its `-C`, or the one it was started in."""
    return posixpath.normpath(posixpath.join(process.cwd or "/", arguments(process.argv).folder))
