"""The files that a process reads and writes, as its command line tells. Pure.

This is the one place in which the words of a command line are taken for files; every check and view asks here.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from matrix.trace import program_files, shell_script
from matrix.trace.program_files import Flow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matrix.scenario.step_facts import Process
    from matrix.trace.shell_script import SimpleCommand

SHELLS = ("sh", "bash", "dash")

_WRAPPERS = ("exec", "command", "env", "nice", "time", "ccache")
_XARGS_OPTIONS = ("-n", "-I", "-P", "-L", "-d", "-s", "-E", "-a")
_COMMAND_OPTION = re.compile(r"-[a-z]*c")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_NO_NAME = re.compile(r"[\s$*?`]")


@dataclass(frozen=True)
class Access:
    """The files that a process reads and writes, in the cell. `names` are all words that can be a file's, in order."""

    flows: tuple[Flow, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The files that the process reads, in the order of its words."""
        return tuple(dict.fromkeys(path for flow in self.flows for path in flow.reads))

    @property
    def writes(self) -> tuple[str, ...]:
        """The files that the process writes, in the order of its words."""
        return tuple(dict.fromkeys(path for flow in self.flows for path in flow.writes))


def of(process: Process) -> Access:
    """Return what a process's last program does with files."""
    return access(process.argv, process.cwd)


@lru_cache(maxsize=1 << 14)
def access(argv: tuple[str, ...], cwd: str) -> Access:
    """Return what a program that was started with these words in the folder `cwd` does with files.

    A shell that is given a script stands for all commands of it.
    """
    if not argv:
        return Access()
    script = shell_command(argv)
    if script is None:
        return _Resolved(cwd).add(_Use(argv)).access
    resolved = _Resolved(cwd)
    for use in _uses(shell_script.commands(script)):
        resolved.add(use)
    return resolved.access


def shell_command(argv: Sequence[str]) -> str | None:
    """Return the script that `sh -c` was given, or nothing for any other program."""
    is_shell = posixpath.basename(argv[0]) in SHELLS
    return _word_after_command_option(argv[1:]) if is_shell else None


def _word_after_command_option(words: Sequence[str]) -> str | None:
    """Return the word after the option `-c`, which others may be joined to (`-ec`), or nothing without such a word."""
    options = itertools.takewhile(lambda pair: pair[0].startswith("-"), itertools.pairwise(words))
    return next((following for option, following in options if _COMMAND_OPTION.match(option)), None)


@dataclass(frozen=True)
class _Use:
    """A simple command: its words, the files of its redirections, those that it gets through pipes, and its folder.

    `assigned` are the words of the variables that it is given (`LIBS='a.a b.a' python3 setup.py`).
    """

    words: tuple[str, ...]
    redirected_from: tuple[str, ...] = ()
    redirected_to: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    piped: tuple[str, ...] = ()
    assigned: tuple[str, ...] = ()
    folder: str = ""

    @property
    def flows(self) -> list[Flow]:
        """The files that go through the command, as it names them."""
        own = program_files.flows(self.words)
        sources = (*(name for flow in own for name in flow.reads), *self.redirected_from, *self.piped)
        through = [Flow(self.piped, flow.writes) for flow in own if self.piped]
        return [*own, *through, Flow(sources, self.redirected_to), Flow((), self.logs)]


def _uses(commands: Sequence[SimpleCommand]) -> Iterator[_Use]:
    """Yield the uses of a script's commands, in their order."""
    given_on = [tuple(_given_on(command)) for command in commands]
    printed = [tuple(_printed(command)) for command in commands]
    for command in commands:
        yield _use(command, given_on, printed)


def _use(command: SimpleCommand, given_on: Sequence[tuple[str, ...]], printed: Sequence[tuple[str, ...]]) -> _Use:
    """Return the use of a script's command: what it is fed are words to `xargs`, and to others the files read.

    `given_on` and `printed` are what each command of the script gives to those that it feeds (`_given_on`, `_printed`).
    """
    words = _without_wrappers(command.words)
    piped: tuple[str, ...] = ()
    if words[:1] == ("xargs",):
        words = (*_operands_from(words[1:]), *_of_all(command.fed_by, printed))
    else:
        piped = tuple(dict.fromkeys(_of_all(command.fed_by, given_on)))
    return _Use(
        words=words,
        redirected_from=command.reads,
        redirected_to=command.writes,
        logs=command.logs,
        piped=piped,
        assigned=_assigned(command.words),
        folder=command.folder,
    )


def _of_all(positions: Iterable[int], words: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the words of the commands at some positions of a script."""
    return itertools.chain.from_iterable(words[position] for position in positions)


def _given_on(command: SimpleCommand) -> Iterator[str]:
    """Yield the files whose content, or whose names, a command gives to what it feeds."""
    yield from command.reads
    if command.words[:1] == ("for",):
        yield from command.words[3:]
    for flow in program_files.flows(_without_wrappers(command.words)):
        yield from flow.reads


def _printed(command: SimpleCommand) -> Iterator[str]:
    """Yield the words that `printf` or `echo` prints; a format puts folders before names, as kbuild's does."""
    program, words = command.words[:1], command.words[1:]
    if program == ("echo",):
        yield from words
    if program == ("printf",):
        yield from _formatted(*words)


def _formatted(pattern: str = "", *words: str) -> list[str]:
    """Return words as a pattern like `util/%s ` prints them; one without a place for them prints none."""
    prefix, place, _ = pattern.partition("%s")
    return [f"{prefix}{word}" for word in words] if place else []


def _operands_from(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that `xargs` runs: its words without its own options."""
    before = ""
    for number, word in enumerate(words):
        is_operand = not word.startswith("-") and before not in _XARGS_OPTIONS
        if is_operand:
            return words[number:]
        before = word
    return ()


def _without_wrappers(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command's words from its program on: without assignments, and without `exec`, `ccache` and the like."""
    for number, word in enumerate(words):
        if not _ASSIGNMENT.match(word) and word not in _WRAPPERS:
            return words[number:]
    return ()


def _assigned(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words in the values of the variables that a command is given in front of its program."""
    values = [_ASSIGNMENT.sub("", word) for word in itertools.takewhile(_ASSIGNMENT.match, words)]
    return tuple(word for value in values for word in value.split())


@dataclass
class _Resolved:
    """Collects uses, with the paths that their names are in a cell."""

    cwd: str
    flows: list[Flow] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)

    def add(self, use: _Use) -> _Resolved:
        """Add what a command does with files."""
        folder = posixpath.join(self.cwd or "/", use.folder)
        self.flows += _located(folder, use.flows)
        words = (*_named(use.words), *use.assigned, *use.redirected_from, *use.redirected_to, *use.logs)
        self.names |= dict.fromkeys(_paths(folder, words))
        return self

    @property
    def access(self) -> Access:
        return Access(tuple(self.flows), tuple(self.names))


def _located(folder: str, flows: Iterable[Flow]) -> Iterator[Flow]:
    """Yield flows with the paths of their names in a folder, without those that are of no file."""
    for flow in flows:
        reads, writes = _paths(folder, flow.reads), _paths(folder, flow.writes)
        if reads or writes:
            yield Flow(reads, writes)


def _named(words: tuple[str, ...]) -> Iterator[str]:
    """Yield all words of a command that can be a file's name, also those that are part of an option's word."""
    if words:
        yield words[0]
        yield from (word for word in program_files.separated("cc", words[1:]) if not word.startswith("-"))


def _paths(folder: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the paths of names; what holds spaces, variables or patterns is no name."""
    found = [posixpath.normpath(posixpath.join(folder, name)) for name in names if name and not _NO_NAME.search(name)]
    return tuple(dict.fromkeys(path for path in found if not path.startswith("/dev/")))
