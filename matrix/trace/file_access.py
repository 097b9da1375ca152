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

from matrix.trace import shell_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from matrix.scenario.observations import Process
    from matrix.trace.shell_script import Command

SHELLS = ("sh", "bash", "dash")

_ARCHIVER = re.compile(r"^(?:.*-)?ar$")
_COMPILER = re.compile(r"^(?:.*-)?(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-[\d.]+)?$|^cc1(?:plus)?$")
_LINKER = re.compile(r"^(?:.*-)?(?:ld|ld\.\w+|lld|collect2)$")
_OBJCOPY = re.compile(r"^(?:.*-)?(?:objcopy|strip)(?:-[\d.]+)?$")
_WRAPPERS = ("exec", "command", "env", "nice", "time", "ccache")

# Programs whose words are text, folders or targets: they read and write no file that their words name.
_WITHOUT_FILES = (
    "echo", "printf", "cd", "test", "[", "for", "set", "export", "mkdir", "rmdir", "rm", "make", "gmake", "true",
    "false", "pwd", "uname", "which", "dirname", "basename", "expr", "kill", "trap", "exit", "return", "wait", "umask",
)  # fmt: skip

# Options of compilers, linkers and generators that take the next word.
# The main output comes first.
_OUTPUT_OPTIONS = ("-o", "--output", "-MF", "-Map", "--dependency-file", "--header-file", "--defines", "--header")
_OTHER_OPTIONS = (
    "-MT", "-MQ", "-dumpbase", "-dumpbase-ext", "-dumpdir", "-auxbase", "-auxbase-strip", "-x", "-I", "-L", "-D", "-U",
    "-isystem", "-idirafter", "-iquote", "-imultiarch", "-iprefix", "-soname", "-m", "-z", "-plugin", "-e", "-p",
    "-target", "--crate-type", "--crate-name", "--edition", "-arch", "-march", "-mtune", "-l",
)  # fmt: skip
_JOINED_TO_LETTER = re.compile(r"^-(o)([^-=].*)$")
_OPTION_WITH_VALUE = re.compile(r"^(--?[A-Za-z][\w-]*)=(.+)$")
_ATTACHED_OUTPUT = ("flex", "lex", "bison", "yacc", "sort", "as", "rustc")
_NO_OUTPUT_OPTION = ("grep", "egrep", "fgrep", "find", "ls", "ps", "python3-config", "pkg-config")
"""Programs whose `-o` is another option, which takes no file."""

_XARGS_OPTIONS = ("-n", "-I", "-P", "-L", "-d", "-s", "-E", "-a")
_COPY_OPTIONS = ("-m", "-o", "-g", "-S", "--mode", "--owner", "--group", "--suffix")
_OBJCOPY_OPTIONS = (
    "-I", "-O", "-B", "-F", "-j", "-R", "-K", "-N", "-L", "-G", "-W", "--rename-section", "--add-section",
    "--redefine-sym", "--set-section-flags", "--update-section", "--dump-section",
)  # fmt: skip
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_NO_NAME = re.compile(r"[\s$*?`]")


@dataclass(frozen=True)
class Flow:
    """Files that a command reads, and the files that it writes from them."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Access:
    """What a process does with files: paths inside the cell. `names` are all words that can be a file's, in order."""

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
    commands = shell_script.commands(script)
    for command in commands:
        resolved.add(_use(command, commands))
    return resolved.access


def shell_command(argv: Sequence[str]) -> str | None:
    """Return the script that `sh -c` was given, or nothing for any other program."""
    if posixpath.basename(argv[0]) not in SHELLS:
        return None
    for number, word in enumerate(argv[1:-1], 1):
        if not word.startswith("-"):
            return None
        if "c" in word and not word.startswith("--"):
            return argv[number + 1]
    return None


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
        own = _flows(self.words)
        sources = (*(name for flow in own for name in flow.reads), *self.redirected_from, *self.piped)
        through = [Flow(self.piped, flow.writes) for flow in own if self.piped]
        return [*own, *through, Flow(sources, self.redirected_to), Flow((), self.logs)]


def _use(command: Command, commands: Sequence[Command]) -> _Use:
    """Return the use of a script's command: what it is fed are words to `xargs`, and to others the files read."""
    words = _without_wrappers(command.words)
    feeders = [commands[position] for position in command.fed_by]
    piped: tuple[str, ...] = ()
    if words[:1] == ("xargs",):
        words = (*_operands_from(words[1:]), *(word for feeder in feeders for word in _printed(feeder.words)))
    else:
        piped = tuple(name for feeder in feeders for name in _given_on(feeder))
    return _Use(words, command.reads, command.writes, command.logs, piped, _assigned(command.words), command.folder)


def _given_on(command: Command) -> Iterator[str]:
    """Yield the files whose content, or whose names, a command gives to what it feeds."""
    yield from command.reads
    if command.words[:1] == ("for",):
        yield from command.words[3:]
    for flow in _flows(_without_wrappers(command.words)):
        yield from flow.reads


def _printed(words: tuple[str, ...]) -> Iterator[str]:
    """Yield the words that `printf` or `echo` prints; a format puts folders before names, as kbuild's does."""
    if words[:1] == ("printf",) and "%s" in words[1:2][0]:
        prefix = words[1].partition("%s")[0]
        yield from (f"{prefix}{word}" for word in words[2:])
    elif words[:1] in (("printf",), ("echo",)):
        yield from words[1:]


def _operands_from(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that `xargs` runs: its words without its own options."""
    before = ""
    for number, word in enumerate(words):
        if not word.startswith("-") and before not in _XARGS_OPTIONS:
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


def _flows(words: tuple[str, ...]) -> list[Flow]:
    """Return what a program does with the files that its own words name."""
    if not words:
        return []
    program, arguments = posixpath.basename(words[0]), words[1:]
    for pattern, rule in _RULES:
        if pattern.search(program):
            return rule(arguments)
    return _tool(program, arguments)


def _no_files(_arguments: tuple[str, ...]) -> list[Flow]:
    return []


def _archive(arguments: tuple[str, ...]) -> list[Flow]:
    """`ar rcs lib.a a.o`: the operation is the first word, with or without a hyphen; `t`, `p` and `x` only read."""
    operation, names = arguments[:1], arguments[1:]
    archives = tuple(name for name in names if name.endswith(".a")) or names[:1]
    if not operation or set(operation[0]) & set("tpx"):
        return [Flow(archives)]
    return [Flow(tuple(name for name in names if name not in archives), archives)]


def _copy(arguments: tuple[str, ...]) -> list[Flow]:
    """`cp`, `install` and `mv`: each source goes to a copy of its own."""
    names, folder = _positional(arguments)
    if "-d" in arguments:  # `install -d` makes folders
        return []
    if folder:
        return [_into_folder(name, folder) for name in names]
    *sources, target = names or [""]
    if len(sources) > 1 or target.endswith("/"):
        return [_into_folder(name, target) for name in sources]
    if "." in posixpath.basename(target):
        return [Flow((name,), (target,)) for name in sources]
    # Only the file system knew whether a target without an ending is a folder.
    return [Flow((name,), (target, *_into_folder(name, target).writes)) for name in sources]


def _link(arguments: tuple[str, ...]) -> list[Flow]:
    """`ln`: a relative target of `ln -s` is relative to the link's folder."""
    symbolic = any(re.match(r"-[a-z]*s", word) for word in arguments) or "--symbolic" in arguments
    flows = _copy(arguments)
    if not symbolic:
        return flows
    return [Flow((posixpath.join(_folder(flow), flow.reads[0]),), flow.writes) for flow in flows]


def _folder(flow: Flow) -> str:
    return posixpath.dirname(flow.writes[0])


def _into_folder(name: str, folder: str) -> Flow:
    return Flow((name,), (posixpath.join(folder, posixpath.basename(name)),))


def _positional(arguments: tuple[str, ...]) -> tuple[list[str], str]:
    """Return the files that `cp` and its like are given, and the folder that `-t` names."""
    names, folder, before = [], "", ""
    for word in arguments:
        if before in ("-t", "--target-directory"):
            folder = word
        elif word.startswith("--target-directory="):
            folder = word.partition("=")[2]
        elif not word.startswith("-") and before not in _COPY_OPTIONS:
            names.append(word)
        before = word
    return names, folder


def _objcopy(arguments: tuple[str, ...]) -> list[Flow]:
    """`objcopy in out`; with one name the file itself is written anew."""
    names = _operands(arguments, _OBJCOPY_OPTIONS)
    return [Flow(tuple(names[:1]), tuple(names[1:2] or names[:1]))]


def _writer(arguments: tuple[str, ...]) -> list[Flow]:
    """`tee` and `touch`: all names are written."""
    return [Flow((), tuple(_operands(arguments, ())))]


def _operands(arguments: tuple[str, ...], taking_a_word: Sequence[str]) -> list[str]:
    """Return the words that are neither options nor what these options take."""
    before = ("", *arguments)
    pairs = zip(before, arguments, strict=False)
    return [word for option, word in pairs if not word.startswith("-") and option not in taking_a_word]


def _bpftool(arguments: tuple[str, ...]) -> list[Flow]:
    """`bpftool gen object OUT IN…` writes; all else that a build runs prints."""
    names = _operands(arguments, ())
    if names[:2] == ["gen", "object"]:
        return [Flow(tuple(names[3:]), tuple(names[2:3]))]
    return [Flow(tuple(names[2:]))]


def _tool(program: str, arguments: tuple[str, ...]) -> list[Flow]:
    """Compilers, linkers, generators and all other programs: an option names each output, all other words are read."""
    words = list(_separated(program, arguments))
    output_options = () if program in _NO_OUTPUT_OPTION else _OUTPUT_OPTIONS
    reads: list[str] = []
    writes: dict[str, list[str]] = {option: [] for option in output_options}
    before = ""
    for word in words:
        if before in writes:
            writes[before].append(word)
        elif not word.startswith("-") and before not in _OTHER_OPTIONS:
            reads.append(word)
        before = word
    outputs = [name for names in writes.values() for name in names if name != "-"]
    if _COMPILER.search(program) and not {"-o", "-E"} & set(words):
        outputs += _unnamed_outputs(words, reads)
    return [Flow(tuple(reads), tuple(outputs))]


def _unnamed_outputs(words: Sequence[str], sources: Iterable[str]) -> list[str]:
    """Return the objects or assembly that a compiler writes into its folder where no option names the output."""
    ending = ".o" if "-c" in words else ".s" if "-S" in words else ""
    stems = [posixpath.splitext(posixpath.basename(name))[0] for name in sources]
    return [f"{stem}{ending}" for stem in stems] if ending else []


def _separated(program: str, arguments: Iterable[str]) -> Iterator[str]:
    """Yield words in which each option stands apart from the file that it takes, as `-o x` for `-ox`."""
    joins_output = _COMPILER.search(program) or _LINKER.search(program) or program in _ATTACHED_OUTPUT
    for word in arguments:
        if word.startswith("-Wp,"):
            yield from _preprocessor_words(word)
        elif word.startswith("-Wl,"):
            yield from _separated("ld", word.split(",")[1:])
        elif word.startswith("--emit="):
            yield from _rustc_outputs(word)
        elif joins_output and (joined := _JOINED_TO_LETTER.search(word)):
            yield from (f"-{joined[1]}", joined[2])
        elif valued := _OPTION_WITH_VALUE.search(word):
            yield from valued.groups()
        else:
            yield word


def _preprocessor_words(word: str) -> Iterator[str]:
    """Yield `-MF x` for `-Wp,-MMD,x`, kbuild's way to ask for a dependency file."""
    for option, name in zip(word.split(",")[1:], word.split(",")[2:], strict=False):
        if option in ("-MD", "-MMD", "-MF"):
            yield from ("-MF", name)


def _rustc_outputs(word: str) -> Iterator[str]:
    for kind in word.removeprefix("--emit=").split(","):
        if "=" in kind:
            yield from ("-MF", kind.partition("=")[2])


_RULES: tuple[tuple[re.Pattern[str], Callable[[tuple[str, ...]], list[Flow]]], ...] = (
    (re.compile(f"^(?:{'|'.join(map(re.escape, _WITHOUT_FILES))})$"), _no_files),
    (re.compile(r"^(?:cp|mv|install)$"), _copy),
    (re.compile(r"^ln$"), _link),
    (re.compile(r"^(?:tee|touch)$"), _writer),
    (re.compile(r"^bpftool$"), _bpftool),
    (_ARCHIVER, _archive),
    (_OBJCOPY, _objcopy),
)


@dataclass
class _Resolved:
    """Collects uses, with the paths that their names are in a cell."""

    cwd: str
    flows: list[Flow] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)

    def add(self, use: _Use) -> _Resolved:
        """Add what a command does with files."""
        folder = posixpath.join(self.cwd or "/", use.folder)
        for flow in use.flows:
            reads, writes = _paths(folder, flow.reads), _paths(folder, flow.writes)
            if reads or writes:
                self.flows.append(Flow(reads, writes))
        words = (*_named(use.words), *use.assigned, *use.redirected_from, *use.redirected_to, *use.logs)
        self.names |= dict.fromkeys(_paths(folder, words))
        return self

    @property
    def access(self) -> Access:
        return Access(tuple(self.flows), tuple(self.names))


def _named(words: tuple[str, ...]) -> Iterator[str]:
    """Yield all words of a command that can be a file's name, also those that are part of an option's word."""
    if words:
        yield words[0]
        yield from (word for word in _separated("cc", words[1:]) if not word.startswith("-"))


def _paths(folder: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the paths of names; what holds spaces, variables or patterns is no name."""
    found = [posixpath.normpath(posixpath.join(folder, name)) for name in names if name and not _NO_NAME.search(name)]
    return tuple(dict.fromkeys(path for path in found if not path.startswith("/dev/")))
