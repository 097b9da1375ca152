"""The files that a process reads and writes, by its command line. Pure.

No other module takes the words of a command line for files: every check and every view uses this one, so that they
agree. The trace itself has no file names, as tracing each open(2) makes a build 2.7 times as slow.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from matrix.trace import program_files, shell_script
from matrix.trace.program_files import PATH_MAX, Flow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matrix.scenario.step_facts import Process
    from matrix.trace.shell_script import SimpleCommand

SHELLS = ("sh", "bash", "dash")

MOST_PIPED = 20_000
"""The most words that the commands of a script pass to each other: a link of perf passes 300. In a group, each command
gets all that is piped into the group, so that a script of 128 KiB could pass hundreds of millions."""

# Programs that run the command after them, so that its program is the next word.
_WRAPPERS = ("exec", "command", "env", "nice", "time", "ccache")
# The options of xargs(1) that take the next word.
_XARGS_OPTIONS = ("-n", "-I", "-P", "-L", "-d", "-s", "-E", "-a")
_COMMAND_OPTION = re.compile(r"-[a-z]*c")
# An assignment before a command's program (POSIX.1-2017, XCU 2.9.1).
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# A word with a blank, an expansion or a pattern: only the shell knew the name that became of it.
_NO_NAME = re.compile(r"[\s$*?`]")


@dataclass(frozen=True)
class Access:
    """The files that a process reads and writes; all paths are absolute paths in the cell.

    `names` are the paths of all words that can name a file, read or written or neither, in the order of the words.
    """

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
    """Return the files that a process's last program reads and writes."""
    return access(process.argv, process.cwd)


# Checks and views ask of each process several times; a build of perf has about 8,000 processes.
@lru_cache(maxsize=1 << 14)
def access(argv: tuple[str, ...], cwd: str) -> Access:
    """Return the files that a program with the words `argv`, started in the folder `cwd`, reads and writes.

    The access of `sh -c SCRIPT` is that of all commands of the script together.
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
    """Return the word after the option `-c`, alone or joined to others (`-ec`), or nothing without that option."""
    options = itertools.takewhile(lambda pair: pair[0].startswith("-"), itertools.pairwise(words))
    return next((following for option, following in options if _COMMAND_OPTION.match(option)), None)


@dataclass(frozen=True)
class _Use:
    """A simple command with the file names that come to it from outside of its own words.

    `redirected_from` and `redirected_to` are the files of its redirections, `logs` those of `2>`; `piped` are the
    files of which it reads the content or the names through a pipe; `assigned` are the words of variables before its
    program (`LIBS='a.a b.a' python3 setup.py`); `folder` is the folder it runs in, relative to the process's;
    `passed` is the number of words that came from other commands of the script.
    """

    words: tuple[str, ...]
    redirected_from: tuple[str, ...] = ()
    redirected_to: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    piped: tuple[str, ...] = ()
    assigned: tuple[str, ...] = ()
    folder: str = ""
    passed: int = 0

    @property
    def flows(self) -> list[Flow]:
        """The flows of the command, with file names as its words have them."""
        own = program_files.flows(self.words)
        # Standard output may come from anything that the command reads, so each source leads to it.
        sources = (*(name for flow in own for name in flow.reads), *self.redirected_from, *self.piped)
        written = tuple(name for flow in own for name in flow.writes)
        through = [Flow(self.piped, written)] if own and self.piped else []
        return [*own, *through, Flow(sources, self.redirected_to), Flow((), self.logs)]


def _uses(commands: Sequence[SimpleCommand]) -> Iterator[_Use]:
    """Yield the uses of a script's commands, in their order."""
    given_on = [tuple(_given_on(command)) for command in commands]
    printed = [tuple(_printed(command)) for command in commands]
    left = MOST_PIPED
    for command in commands:
        use = _use(command, given_on, printed, left)
        left -= use.passed
        yield use


def _use(
    command: SimpleCommand, given_on: Sequence[tuple[str, ...]], printed: Sequence[tuple[str, ...]], most: int
) -> _Use:
    """Return the use of a script's command.

    `given_on` and `printed` hold, for each command of the script, the files that it passes on (`_given_on`) and the
    words that it prints (`_printed`). Printed words become arguments of `xargs`; to any other program that is fed, the
    files that were passed on count as read. `most` is the number of words that may come from other commands.
    """
    words = _without_wrappers(command.words)
    # tools/build links by `printf "util/%s " a.o b.o | xargs ld -r -o …`: the names are printed, and no file is read.
    piped: tuple[str, ...] = ()
    if words[:1] == ("xargs",):
        passed = tuple(_of_all(command.fed_by, printed, most))
        words = (*_operands_from(words[1:]), *passed)
    else:
        passed = tuple(_of_all(command.fed_by, given_on, most))
        piped = tuple(dict.fromkeys(passed))
    return _Use(
        words=words,
        redirected_from=command.reads,
        redirected_to=command.writes,
        logs=command.logs,
        piped=piped,
        assigned=_assigned(command.words),
        folder=command.folder,
        passed=len(passed),
    )


def _of_all(positions: Iterable[int], words: Sequence[tuple[str, ...]], most: int) -> Iterator[str]:
    """Yield the words of the commands at some positions of a script, the first `most` of them."""
    return itertools.islice(itertools.chain.from_iterable(words[position] for position in positions), most)


def _given_on(command: SimpleCommand) -> Iterator[str]:
    """Yield the files whose content, or whose names, a command passes to the commands that it feeds."""
    yield from command.reads
    if command.words[:1] == ("for",):  # `for NAME in WORD…`
        yield from command.words[3:]
    for flow in program_files.flows(_without_wrappers(command.words)):
        yield from flow.reads


def _printed(command: SimpleCommand) -> Iterator[str]:
    """Yield the words that `printf` or `echo` prints; the format of `printf` may put a folder before each word."""
    program, words = command.words[:1], command.words[1:]
    if program == ("echo",):
        yield from words
    if program == ("printf",):
        yield from _formatted(*words)


def _formatted(pattern: str = "", *words: str) -> list[str]:
    """Return words as printf's format (`util/%s `) prints them, or none where the format has no `%s`."""
    prefix, place, _ = pattern.partition("%s")
    return [f"{prefix}{word}" for word in words] if place and len(prefix) <= PATH_MAX else []


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
    values = [word.partition("=")[2] for word in itertools.takewhile(_ASSIGNMENT.match, words)]
    return tuple(word for value in values for word in value.split())


@dataclass
class _Resolved:
    """The access of a process so far: its uses are added, and their names become absolute paths in the cell."""

    cwd: str
    flows: list[Flow] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)  # a dict, as a set would lose the order of the words

    def add(self, use: _Use) -> _Resolved:
        """Add the flows and names of one command."""
        folder = posixpath.join(self.cwd or "/", use.folder)
        self.flows += _located(folder, use.flows)
        words = (*_named(use.words), *use.assigned, *use.redirected_from, *use.redirected_to, *use.logs)
        self.names |= dict.fromkeys(_paths(folder, words))
        return self

    @property
    def access(self) -> Access:
        return Access(tuple(self.flows), tuple(self.names))


def _located(folder: str, flows: Iterable[Flow]) -> Iterator[Flow]:
    """Yield flows with absolute paths for their names, without flows that are left with no file."""
    for flow in flows:
        reads, writes = _paths(folder, flow.reads), _paths(folder, flow.writes)
        if reads or writes:
            yield Flow(reads, writes)


def _named(words: tuple[str, ...]) -> Iterator[str]:
    """Yield all words of a command that can name a file, also those joined to an option (`-ofile`)."""
    if words:
        yield words[0]
        # "cc": of any program, words are split as a compiler's, the richest rules; to name too much does no harm here.
        yield from (word for word in program_files.separated("cc", words[1:]) if not word.startswith("-"))


def _paths(folder: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the absolute paths of names, each once; words with blanks, variables or patterns are left out."""
    return tuple(dict.fromkeys(filter(None, (_path(folder, name) for name in names))))


# The compilers of a build are given the same hundred folders 600 times.
@lru_cache(maxsize=1 << 11)
def _path(folder: str, name: str) -> str:
    """Return the absolute path of a name, or nothing for a word that names no file."""
    if not name or _NO_NAME.search(name):
        return ""
    path = posixpath.normpath(posixpath.join(folder, name))
    # /dev/null and /dev/stdout are read and written by everything, and made from nothing.
    return "" if path.startswith("/dev/") else path
