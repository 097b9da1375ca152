"""The command lines of make in a mail, as the builds of perf that they ask for. Pure.

A line counts where it is a command: after a shell's prompt, or with nothing in it but what make takes.
"""

from __future__ import annotations

import binascii
import email
import itertools
import posixpath
import re
import shlex
from collections import deque
from dataclasses import dataclass, field
from email import policy
from typing import TYPE_CHECKING, Self

from matrix.config import adhoc_build
from matrix.errors import UsageError
from matrix.trace import make_arguments, shell_script

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from email.message import Message

    from matrix.model.build import Build
    from matrix.model.image import Image
    from matrix.trace.shell_script import SimpleCommand

MAIL_BYTES, LINE_CHARS, PROMPT_CHARS, LINES = 4 << 20, 4000, 200, 100
"""The bounds on a mail, a line of it, the prompt before it, and the lines that a command goes on in."""

MOST_BUILDS, MOST_COMMANDS = 20, 1000
"""The builds that are proposed, and the command lines that are read."""

PERF = "tools/perf"

# `> ` of quoted mails, then a prompt: `$ `, `# `, `% `, `bash-5.2$ `, `user@host:~/linux$ `, `[user@host linux]$ `,
# `(venv) $ `; or the `+ ` of `sh -x`, where a patch's added line has a tab.
_QUOTES = re.compile(r"^(?:[ \t]{0,8}[>|])*[ \t]*")
_PROMPT = re.compile(r"(?:\([\w.-]+\)[ \t]*)?(?:\[?[\w.-]+@[^$#%\n]*+|[\w.-]+)?[$#%\u276f][ \t]+|\+ (?! )")
_MAKE = re.compile(r"\b(?:g|re)?make\b")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SAYS = re.compile(r"^\w*make(?:\[\d+\])?:")  # make's own messages: `make[2]: *** [...] Error 1`
_MAKEFILES = ("-f", "--file", "--makefile")
_OWN_MAKEFILES = ("", "Makefile", "Makefile.perf")
_WITH_NUMBER = frozenset(("-j", "-l", "--jobs", "--load-average"))
"""Options of make's after which a number may stand, or none."""

DISTROS = {
    name: re.compile(rf"\b{words}\b", re.I)
    for name, words in {
        "Alma": "alma ?linux", "Alpine": "alpine", "Amazon Linux": "amazon ?linux", "Arch": "arch ?linux",
        "CentOS": "centos", "Debian sid": "sid", "Fedora": "fedora", "Gentoo": "gentoo", "Mageia": "mageia",
        "openSUSE": "opensuse", "Oracle Linux": "oracle ?linux", "RHEL": "rhel", "Rocky": "rocky", "Ubuntu": "ubuntu",
        "Void": "void ?linux",
    }.items()
}  # fmt: skip
"""Distros that there is no image of, with the words that mails have for them."""

_RELEASES = {"11": "bullseye", "12": "bookworm", "13": "trixie"}
"""Debian's releases by their numbers."""

_GOALS = frozenset(
    (
        "TAGS", "all", "build-test", "check", "clean", "cscope", "doc", "html", "install", "install-bin", "install-doc",
        "install-man", "install-tools", "libperf", "man", "perf", "perf-tar-src-pkg", "perf-tarbz2-src-pkg",
        "perf-targz-src-pkg", "perf-tarxz-src-pkg", "perf-tarzst-src-pkg", "python/perf.so", "tags",
    )
)  # fmt: skip
"""The goals by which a line without a prompt is told from prose, as `make sure that`."""


@dataclass(frozen=True)
class MailBuild:
    """A build that a mail has: the number of its text's line, the command, and the options that are left out."""

    line: int
    text: str
    build: Build
    dropped: tuple[str, ...] = ()


def text_of(mail: bytes) -> str:
    """Return the text of a mail, its encodings undone; of a file that is no mail, the whole.

    Raises:
        UsageError: the mail has more than MAIL_BYTES bytes.

    """
    if len(mail) > MAIL_BYTES:
        raise UsageError(f"the mail has more than {MAIL_BYTES >> 20} MiB", "Cut it to the lines with make's commands.")
    if not re.match(rb"(?:From |[A-Za-z][A-Za-z-]{0,60}:)", mail):
        return mail.decode("utf-8", "replace")
    try:
        message = email.message_from_bytes(mail, policy=policy.compat32)
        parts = [_decoded(part) for part in message.walk() if part.get_content_type() == "text/plain"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, binascii.Error) as error:
        raise UsageError(f"the mail cannot be taken apart: {error}", "Give its text alone.") from error
    return "\n".join(parts)


def _decoded(part: Message) -> str:
    found = part.get_payload(decode=True)
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else ""


def builds(text: str) -> tuple[list[MailBuild], list[tuple[int, str]]]:
    """Return the builds of perf that a text's command lines ask for, each once, and the lines that are not understood.

    The first MOST_BUILDS are returned, and as many lines, by number, that name make and tools/perf.
    """
    found: dict[str, MailBuild] = {}
    others: list[tuple[int, str]] = []
    commands = (numbered for numbered in _lines(text) if _MAKE.search(numbered[1]))
    for number, line in itertools.islice(commands, MOST_COMMANDS):
        made = list(_of_line(number, line))
        for one in made:
            found.setdefault(one.build.name, one)
        if not made and PERF in line and not _SAYS.match(line):
            others.append((number, line.strip()))
    return list(found.values())[:MOST_BUILDS], others[:MOST_BUILDS]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line without its quotes, with those that it goes on in, and its number."""
    begun, parts = 0, list[str]()
    for number, raw in enumerate(text.splitlines(), 1):
        line = _QUOTES.sub("", raw[:LINE_CHARS], count=1)
        begun = begun or number
        goes_on = line.endswith("\\") and len(parts) < LINES
        parts.append(line.removesuffix("\\") if goes_on else line)
        if not goes_on:
            yield begun, " ".join(parts)[:LINE_CHARS]
            begun, parts = 0, []
    if parts:
        yield begun, " ".join(parts)[:LINE_CHARS]


def _of_line(number: int, line: str) -> Iterator[MailBuild]:
    if _SAYS.match(line):
        return
    prompt = _PROMPT.match(line[:PROMPT_CHARS])
    command = line[prompt.end() :] if prompt else line
    for part in _commands(command):
        made = _build(part, is_typed=prompt is not None)
        if made:
            build, dropped = made
            yield MailBuild(number, command.strip(), build, dropped)


def _commands(text: str) -> Iterator[SimpleCommand]:
    """Yield the commands of a text, and those that it gives names to: `alias m='make -C tools/perf'`."""
    for found in shell_script.commands(text):
        yield found
        if found.words[:1] == ("alias",):
            for word in found.words[1:]:
                yield from shell_script.commands(word.partition("=")[2])


def _build(command: SimpleCommand, *, is_typed: bool) -> tuple[Build, tuple[str, ...]] | None:
    """Return the build of perf that a command is, and the options of it that a build has not; None for others."""
    before, words = _split(command.words)
    found = _MakeWords.of(words)
    if words is None or not found.is_of_perf(command.folder, is_typed=is_typed):
        return None
    is_out_of_tree = found.takes_output()
    try:
        build = adhoc_build.build(found.known_variables(), before, found.goals, out_of_tree=is_out_of_tree)
    except UsageError:  # words of prose, or what the program gives to make itself
        return None
    return build, tuple(found.dropped)


@dataclass
class _MakeWords:
    """The words of a make: its folder and makefile, its variables (each by its word), its goals, and the rest."""

    folder: str = ""
    makefile: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    goals: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, words: Sequence[str] | None) -> Self:
        """Return the words after a make's name."""
        found = cls()
        for word, value in _with_values(words or ()):
            found._add(word, value)
        return found

    def _add(self, word: str, value: str) -> None:
        if word.startswith(make_arguments.FOLDER):
            self.folder = posixpath.join(self.folder, value or word.removeprefix("-C").removeprefix("--directory="))
        elif word.startswith(("-", "JOBS=")):
            self.makefile = value if word in _MAKEFILES else self.makefile
            self.dropped.append(f"{word} {value}".rstrip())
        elif _ASSIGNMENT.match(word):
            self.variables[word.partition("=")[0]] = word  # make takes the last of several
        else:
            self.goals.append(word)

    def is_of_perf(self, folder: str, *, is_typed: bool) -> bool:
        """Return whether the make is one of perf, begun in a folder; a line that nobody typed may be prose."""
        place = posixpath.normpath(posixpath.join(folder, self.folder))
        if PERF in self.goals:  # from the top folder
            place = PERF
            self.goals.remove(PERF)
        is_known = set(self.goals) <= _GOALS
        if posixpath.basename(self.makefile) not in _OWN_MAKEFILES:
            return False
        is_plain = place == "." and is_known and bool(self.goals or self.variables)
        return is_plain or (place.endswith(PERF) and (is_typed or is_known))

    def takes_output(self) -> bool:
        """Take O= out of the variables; return whether it names a folder."""
        output = self.variables.pop("O", "O=").removeprefix("O=")
        if output and not output.startswith("/"):
            self.dropped.append(f"the form of O={output}")
        return bool(output)

    def known_variables(self) -> list[str]:
        """Return the variables but for those with a value that only the shell knew in which they were typed."""
        self.dropped += [word for word in self.variables.values() if "$" in word]
        return [word for word in self.variables.values() if "$" not in word]


def _with_values(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each word with the next one where that is its value, the folder, file or number of an option."""
    left = deque(words)
    while left:
        word = left.popleft()
        takes_number = word in _WITH_NUMBER and bool(left) and left[0].isdecimal()
        takes_word = word in make_arguments.TAKE_A_WORD and bool(left)
        yield word, left.popleft() if takes_word or takes_number else ""


def _split(words: Sequence[str]) -> tuple[list[str], Sequence[str] | None]:
    """Return the assignments before make, and the words after it; None where the command is another."""
    before: list[str] = []
    for position, word in enumerate(words):
        if _ASSIGNMENT.match(word):
            before.append(word)
        elif posixpath.basename(word) in make_arguments.PROGRAMS:
            return before, words[position + 1 :]
        elif word not in ("sudo", "time", "env", "nice") and not word.startswith("-"):
            break
    return before, None


def named_images(text: str, images: Iterable[Image]) -> list[str]:
    """Return the images with every library whose release a text names, as `bookworm` or `Debian 12`."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    words |= {_RELEASES.get(number, "") for number in re.findall(r"\bdebian (\d\d)\b", text.lower())}
    found = [image for image in images if image.base.bootstrap and image.base.bootstrap.suite in words]
    return [image.name for image in found if image.provides]


def named_trees(text: str, names: Iterable[str]) -> list[str]:
    """Return the trees whose kernel version a text names, as `v6.12.5`."""
    return [name for name in names if re.search(rf"(?<![\w.])v?{re.escape(name)}(?![\d])", text)]


def named_distros(text: str) -> list[str]:
    """Return the distros that a text names and no image is of."""
    return [name for name, words in DISTROS.items() if words.search(text)]


def command(found: MailBuild, images: Sequence[str] = (), more: Sequence[str] = ()) -> str:
    """Return the command line that runs a build: on these images, or the usual one, with `more` words after them."""
    on = [word for image in images for word in ("--image", image)] or ["--image", adhoc_build.IMAGE]
    return shlex.join(["perf-matrix", "run", *on, *more, *adhoc_build.words(found.build)])
