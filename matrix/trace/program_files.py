"""The files that a program reads and writes, by the words that it was started with: a rule for each kind. Pure.

The rules follow the manual pages of GCC, binutils, coreutils, flex, bison, bpftool(8) and rustc, as far as builds of
perf use them. All names are returned as the words have them; file_access makes paths of them.
"""

from __future__ import annotations

import itertools
import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

NAME_MAX, PATH_MAX = 255, 4096
"""The longest name and path of Linux (linux/limits.h). A script of the tree's may have words of any length."""

# Toolchains for another target have a prefix (`aarch64-linux-gnu-ld`), Debian's a version at the end (`gcc-14`).
_ARCHIVER = re.compile(r"^(?:.*-)?ar$")
_COMPILER = re.compile(r"^(?:.*-)?(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-[\d.]+)?$|^cc1(?:plus)?$")
_LINKER = re.compile(r"^(?:.*-)?(?:ld|ld\.\w+|lld|collect2)$")
_OBJCOPY = re.compile(r"^(?:.*-)?(?:objcopy|strip)(?:-[\d.]+)?$")

# Programs whose words are text, folders or targets: they read and write no file that their words name.
_WITHOUT_FILES = (
    "echo", "printf", "cd", "test", "[", "for", "set", "export", "mkdir", "rmdir", "rm", "make", "gmake", "true",
    "false", "pwd", "uname", "which", "dirname", "basename", "expr", "kill", "trap", "exit", "return", "wait", "umask",
)  # fmt: skip

# The options of compilers, linkers and generators that take an output's name. Their order is the order of a program's
# outputs: the first one counts as its main output.
_OUTPUT_OPTIONS = ("-o", "--output", "-MF", "-Map", "--dependency-file", "--header-file", "--defines", "--header")
# Their options that take a word which is no input.
_OTHER_OPTIONS = (
    "-MT", "-MQ", "-dumpbase", "-dumpbase-ext", "-dumpdir", "-auxbase", "-auxbase-strip", "-x", "-I", "-L", "-D", "-U",
    "-isystem", "-idirafter", "-iquote", "-imultiarch", "-iprefix", "-soname", "-m", "-z", "-plugin", "-e", "-p",
    "-target", "--crate-type", "--crate-name", "--edition", "-arch", "-march", "-mtune", "-l",
)  # fmt: skip
TAKE_A_WORD = (
    *_OUTPUT_OPTIONS, *_OTHER_OPTIONS, "-include", "-imacros", "-isysroot", "-iwithprefix", "-iwithprefixbefore", "-T",
    "-u", "-B", "-A", "-F", "-rpath", "-Xlinker", "-Xassembler", "-mllvm", "--param", "--sysroot",
)  # fmt: skip
"""The options of compilers whose value is the next word, whatever that looks like."""
# `-ofile`, but neither `-o=file` nor `-o-…`; only for programs that have it, as `ls -ort` means three options.
_JOINED_OUTPUT = re.compile(r"^(?P<option>-o)(?P<value>[^-=].*)$")
_OPTION_WITH_VALUE = re.compile(r"^(?P<option>--?[A-Za-z][\w-]*)=(?P<value>.+)$")
_ATTACHED_OUTPUT = ("flex", "lex", "bison", "yacc", "sort", "as", "rustc")
_NO_OUTPUT_OPTION = ("grep", "egrep", "fgrep", "find", "ls", "ps", "python3-config", "pkg-config")
"""Programs whose `-o` is another option, which takes no file."""

_SYMBOLIC = re.compile(r"-[a-z]*s|--symbolic$")
_COPY_OPTIONS = ("-m", "-o", "-g", "-S", "-t", "--target-directory", "--mode", "--owner", "--group", "--suffix")
_OBJCOPY_OPTIONS = (
    "-I", "-O", "-B", "-F", "-j", "-R", "-K", "-N", "-L", "-G", "-W", "--rename-section", "--add-section",
    "--redefine-sym", "--set-section-flags", "--update-section", "--dump-section",
)  # fmt: skip


@dataclass(frozen=True)
class Flow:
    """Files that a command reads, and the files that it writes from them."""

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def flows(words: tuple[str, ...]) -> list[Flow]:
    """Return the flows of a program, by the words that it was started with: none for one that names no file."""
    if not words:
        return []
    program, arguments = posixpath.basename(words[0])[:NAME_MAX], words[1:]
    for pattern, rule in _RULES:
        if pattern.search(program):
            return rule(arguments)
    return _tool(program, arguments)


def _no_files(_arguments: tuple[str, ...]) -> list[Flow]:
    return []


def _archive(arguments: tuple[str, ...]) -> list[Flow]:
    """Return the flows of `ar rcs lib.a a.o`.

    The operation is the first word, with or without a hyphen; `t`, `p` and `x` only read (ar(1)).
    """
    operation, *names = arguments or ("t",)
    archives, members = _archives_and_members(names)
    only_reads = not set("tpx").isdisjoint(operation)
    return [Flow(archives)] if only_reads else [Flow(members, archives)]


def _archives_and_members(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names that end in `.a`, or the first name where none does, and all other names."""
    archives = tuple(filter(_is_archive, names)) or tuple(names[:1])
    known = frozenset(archives)
    members = tuple(name for name in names if name not in known)
    return archives, members


def _is_archive(name: str) -> bool:
    return name.endswith(".a")


def _copy(arguments: tuple[str, ...]) -> list[Flow]:
    """Return the flows of `cp`, `install` and `mv`: one from each source to its copy."""
    if "-d" in arguments:  # `install -d` makes folders
        return []
    names = _operands(arguments, _COPY_OPTIONS)
    folder = _option_value(arguments, ("-t", "--target-directory"))
    if folder:
        return [_into_folder(name, folder) for name in names]
    return _to_the_last(names)


def _to_the_last(names: list[str]) -> list[Flow]:
    """Return the flows to the last of the names, which is a folder where several others come before it."""
    *sources, target = names or ("",)
    is_folder = len(sources) > 1 or target.endswith("/")
    into = _into_folder if is_folder else _copy_of
    return [into(name, target) for name in sources]


def _copy_of(name: str, target: str) -> Flow:
    """Return the flow from a file to its copy.

    A target without an ending may be a file or a folder, which its name does not tell: the flow has both copies.
    """
    if "." in posixpath.basename(target):
        return Flow((name,), (target,))
    return Flow((name,), (target, *_into_folder(name, target).writes))


def _link(arguments: tuple[str, ...]) -> list[Flow]:
    """Return the flows of `ln`; a relative target of `ln -s` is relative to the link's folder."""
    flows = _copy(arguments)
    if not any(map(_SYMBOLIC.match, arguments)):
        return flows
    return [Flow((posixpath.join(_folder(flow), flow.reads[0]),), flow.writes) for flow in flows if flow.writes]


def _folder(flow: Flow) -> str:
    return posixpath.dirname(flow.writes[0])


def _into_folder(name: str, folder: str) -> Flow:
    """Return the flow of a file into a folder; a folder of more characters than any path has is none."""
    if len(folder) > PATH_MAX:
        return Flow((name,))
    return Flow((name,), (posixpath.join(folder, posixpath.basename(name)),))


def _option_value(arguments: tuple[str, ...], options: tuple[str, ...]) -> str:
    """Return the word that an option takes, or nothing where it is not given."""
    before = ""
    for word in arguments:
        name, _, value = word.partition("=")
        if value and name in options:
            return value
        if before in options:
            return word
        before = word
    return ""


def _objcopy(arguments: tuple[str, ...]) -> list[Flow]:
    """Return the flow of `objcopy in out`; with one name, the file itself is written anew (also by `strip`)."""
    names = _operands(arguments, _OBJCOPY_OPTIONS)
    return [Flow(tuple(names[:1]), tuple(names[1:2] or names[:1]))]


def _writer(arguments: tuple[str, ...]) -> list[Flow]:
    """Return the flow of `tee` and `touch`, which write each file that they name."""
    return [Flow((), tuple(_operands(arguments, ())))]


def _operands(arguments: tuple[str, ...], taking_a_word: Sequence[str]) -> list[str]:
    """Return the words that are neither options nor the values of the options `taking_a_word`."""
    before = ("", *arguments)
    pairs = zip(before, arguments, strict=False)
    return [word for option, word in pairs if not word.startswith("-") and option not in taking_a_word]


def _bpftool(arguments: tuple[str, ...]) -> list[Flow]:
    """Return the flow of bpftool: `gen object OUT IN…` writes a file, its other commands print."""
    names = _operands(arguments, ())
    if names[:2] == ["gen", "object"]:
        return [Flow(tuple(names[3:]), tuple(names[2:3]))]
    return [Flow(tuple(names[2:]))]


def _tool(program: str, arguments: tuple[str, ...]) -> list[Flow]:
    """Return the flow of a compiler, linker, generator or any other program.

    Outputs are the values of options (`-o`, `-MF`); all words that are no option's count as read.
    """
    words = tuple(separated(program, arguments))
    reads = _operands(words, (*_OUTPUT_OPTIONS, *_OTHER_OPTIONS))
    outputs = [] if program in _NO_OUTPUT_OPTION else _named_outputs(words)
    has_default_output = _COMPILER.search(program) and not {"-o", "-E"} & set(words)
    if has_default_output:
        outputs += _unnamed_outputs(words, reads)
    return [Flow(tuple(reads), tuple(outputs))]


def _named_outputs(words: tuple[str, ...]) -> list[str]:
    """Return the words after options that name an output, the main output first; `-` is standard output."""
    pairs = [(option, name) for option, name in itertools.pairwise(words) if option in _OUTPUT_OPTIONS and name != "-"]
    return [name for _, name in sorted(pairs, key=lambda pair: _OUTPUT_OPTIONS.index(pair[0]))]


def _unnamed_outputs(words: Sequence[str], sources: Iterable[str]) -> list[str]:
    """Return the objects or assembly that a compiler writes into its folder where no option names the output."""
    ending = ".o" if "-c" in words else ".s" if "-S" in words else ""
    stems = [posixpath.splitext(posixpath.basename(name))[0] for name in sources]
    return [f"{stem}{ending}" for stem in stems] if ending else []


def separated(program: str, arguments: Iterable[str]) -> Iterator[str]:
    """Yield the words of a command with each option apart from the file that is joined to it: `-o x` for `-ox`."""
    joins_output = _joins_output(program)
    for word in arguments:
        yield from _separated(word, joins_output=joins_output)


# The compilers of a build are given the same hundred options 600 times.
@lru_cache(maxsize=1 << 11)
def _separated(word: str, *, joins_output: bool) -> tuple[str, ...]:
    """Return a word as one or several, with each option apart from the file that is joined to it."""
    if word.startswith("-Wp,"):
        return tuple(_preprocessor_words(word))
    if word.startswith("-Wl,"):
        return tuple(separated("ld", word.split(",")[1:]))
    if word.startswith("--emit="):
        return tuple(_rustc_outputs(word))
    joined = _JOINED_OUTPUT.search(word) if joins_output else None
    valued = joined or _OPTION_WITH_VALUE.search(word)
    return (valued["option"], valued["value"]) if valued else (word,)


def _joins_output(program: str) -> bool:
    is_toolchain = _COMPILER.search(program) or _LINKER.search(program)
    return bool(is_toolchain) or program in _ATTACHED_OUTPUT


def _preprocessor_words(word: str) -> Iterator[str]:
    """Yield `-MF x` for `-Wp,-MMD,x`, by which tools/build asks gcc for a dependency file."""
    for option, name in zip(word.split(",")[1:], word.split(",")[2:], strict=False):
        if option in ("-MD", "-MMD", "-MF"):
            yield from ("-MF", name)


def _rustc_outputs(word: str) -> Iterator[str]:
    """Yield `-MF x` for each file of `--emit=dep-info=x,link=y`; a kind without a file adds no word."""
    for kind in word.removeprefix("--emit=").split(","):
        if "=" in kind:
            yield from ("-MF", kind.partition("=")[2])


# The first rule whose pattern fits a program's name counts; `_tool` is the rule of all programs without one.
_RULES: tuple[tuple[re.Pattern[str], Callable[[tuple[str, ...]], list[Flow]]], ...] = (
    (re.compile(f"^(?:{'|'.join(map(re.escape, _WITHOUT_FILES))})$"), _no_files),
    (re.compile(r"^(?:cp|mv|install)$"), _copy),
    (re.compile(r"^ln$"), _link),
    (re.compile(r"^(?:tee|touch)$"), _writer),
    (re.compile(r"^bpftool$"), _bpftool),
    (_ARCHIVER, _archive),
    (_OBJCOPY, _objcopy),
)
