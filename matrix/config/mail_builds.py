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
from dataclasses import dataclass
from email import policy
from typing import TYPE_CHECKING

from matrix.config import adhoc_build
from matrix.errors import UsageError
from matrix.trace import shell_script

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
_OTHERS_MAKEFILES = ("Makefile", "Makefile.perf")
_WITH_WORD = frozenset(("-C", "-f", "-I", "-o", "-W", "--directory", "--file", "--makefile"))
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
    if words is None:
        return None
    folder, makefile, given, goals, dropped = _sorted(words)
    if makefile and posixpath.basename(makefile) not in _OTHERS_MAKEFILES:
        return None
    place = posixpath.normpath(posixpath.join(command.folder, folder))
    if PERF in goals:  # from the top folder
        place, goals = PERF, [goal for goal in goals if goal != PERF]
    is_of_perf = place.endswith(PERF) or (place == "." and _is_plain(goals, given))
    if not is_of_perf or not (is_typed or set(goals) <= _GOALS):
        return None
    make = {word.partition("=")[0]: word for word in given}  # make takes the last of several
    output = make.pop("O", "O=").removeprefix("O=")
    if output and not output.startswith("/"):
        dropped.append(f"the form of O={output}")
    shells = [word for word in make.values() if "$" in word]  # only the shell that was typed in knew it
    dropped += shells
    try:
        build = adhoc_build.build(
            [w for w in make.values() if w not in shells], before, goals, out_of_tree=bool(output)
        )
    except UsageError:  # words of prose, or what the program gives to make itself
        return None
    return build, tuple(dropped)


def _is_plain(goals: Sequence[str], given: Sequence[str]) -> bool:
    """Return whether a make without a folder can be perf's: it has goals of perf's, or variables."""
    return bool(goals or given) and set(goals) <= _GOALS


def _split(words: Sequence[str]) -> tuple[list[str], Sequence[str] | None]:
    """Return the assignments before make, and the words after it; None where the command is another."""
    before: list[str] = []
    for position, word in enumerate(words):
        if _ASSIGNMENT.match(word):
            before.append(word)
        elif posixpath.basename(word) in ("make", "gmake"):
            return before, words[position + 1 :]
        elif word not in ("sudo", "time", "env", "nice") and not word.startswith("-"):
            break
    return before, None


def _sorted(words: Iterable[str]) -> tuple[str, str, list[str], list[str], list[str]]:
    """Return make's folder, makefile, variables and goals, and the options that are none of these."""
    folder, given, goals, dropped = "", list[str](), list[str](), list[str]()
    before = makefile = ""
    left = iter(words)
    for word in left:
        if before in _WITH_NUMBER and word.isdecimal():
            dropped[-1] += f" {word}"
        elif word in _WITH_WORD:
            value = next(left, "")
            folder = posixpath.join(folder, value) if word in ("-C", "--directory") else folder
            makefile = value if word in ("-f", "--file", "--makefile") else makefile
            dropped += [] if word in ("-C", "--directory") else [f"{word} {value}"]
        elif word.startswith(("-C", "--directory=")):
            folder = posixpath.join(folder, word.removeprefix("-C").removeprefix("--directory="))
        elif word.startswith(("-", "JOBS=")):
            dropped.append(word)
        elif _ASSIGNMENT.match(word):
            given.append(word)
        else:
            goals.append(word)
        before = word
    return folder, makefile, given, goals, dropped


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
