"""The patches of a series: from an mbox, a folder of mails, or a range of commits.

git itself takes mails apart (git-mailsplit(1), git-mailinfo(1)), so that a patch is what `git am` would apply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import paths
from matrix.errors import UsageError
from matrix.trees import git

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Bounds far above those of any series, as the mails may be a stranger's.
MAX_BYTES = 64 << 20
MAX_PATCHES = 1000
MAX_FROM_LINES = 10 * MAX_PATCHES
"""The most lines of an mbox that may begin a mail: git makes a file of each before it can be counted."""
SUBJECT_CHARS = 1000
"""The longest subject that is looked at, and shown: a mail's header may have any length."""
# The line that begins a mail of an mbox. The date is the one of git-format-patch(1), "the magic timestamp" of patches.
MAIL = b"From mail Mon Sep 17 00:00:00 2001\n"
_BRACKETS = re.compile(r"\[([^]]*)\]")
_PATCH = re.compile(r"\bPATCH\b", re.I)
_NUMBER = re.compile(r"\b(\d{1,4})/(\d{1,4})$")
# `[PATCH v7 3/14]`, `[RFC]` and the like before a subject; `git am` takes them off as well.
_PREFIXES = re.compile(r"^(\s*\[[^]]*\])+\s*")
_REPLY = re.compile(r"^\s*(re|aw|fwd?)\s*:", re.I)
_DIFF = re.compile(rb"^(?:diff --git .|--- .+\n\+\+\+ .)", re.M)
# The heads of files and of hunks; the number of a line has at most 32 bits, which is ten digits:
# https://git-scm.com/docs/diff-format#generate_patch_text_with_p
_HEAD = re.compile(
    rb"^(?:diff --git a/(?P<old>.+) b/(?P<new>.+)|@@ -(?P<line>\d{1,10})(?:,\d+)? \+\d+(?:,\d+)? @@)", re.M
)


@dataclass(frozen=True)
class Patch:
    """One patch: `number` and `total` are those of its `[PATCH 3/14]` (`total` is 0 where it has none).

    `diff` is the input of git-apply(1), `date` the author's date as the mail has it.
    """

    number: int
    subject: str
    author: str
    email: str
    date: str
    message: str
    diff: bytes
    total: int = 0

    def hunks(self) -> dict[str, list[tuple[int, str]]]:
        """Map each file, by its old and its new path, to its hunks: the first line in the old file, and the head.

        A head is as `@@ -12,7 +12,8 @@`. git's errors name a renamed file by its old path.
        """
        found: dict[str, list[tuple[int, str]]] = {}
        hunks: list[tuple[int, str]] = []
        for head in _HEAD.finditer(self.diff):
            if head["line"]:
                hunks.append((int(head["line"]), _text(head[0])))
            else:
                hunks = []
                found[_text(head["old"])] = found[_text(head["new"])] = hunks
        return found


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class _Mail:
    """A mail, taken apart as `git am` does; `subject` is whole, with its `[PATCH 3/14]`."""

    subject: str
    author: str
    email: str
    date: str
    message: str
    diff: bytes

    @property
    def is_patch(self) -> bool:
        """Whether the mail has a diff and is no reply, which would quote the diff of another mail."""
        return bool(_DIFF.search(self.diff)) and not _REPLY.match(self.subject)

    @property
    def number(self) -> int | None:
        """The 3 of `[PATCH 3/14]`."""
        found = self._numbers
        return int(found[1]) if found else None

    @property
    def total(self) -> int:
        """The 14 of `[PATCH 3/14]`, or 0."""
        found = self._numbers
        return int(found[2]) if found else 0

    @property
    def _numbers(self) -> re.Match[str] | None:
        """The first match of `3/14` at the end of brackets with the word PATCH."""
        texts = filter(_PATCH.search, _BRACKETS.findall(self.subject))
        return next(filter(None, map(_NUMBER.search, texts)), None)

    def patch(self, number: int) -> Patch:
        """Return the mail as the patch of this number, without the prefixes of its subject."""
        subject = _PREFIXES.sub("", self.subject).strip() or "(no subject)"
        author, email = self.author or "unknown", self.email or "unknown"
        return Patch(number, subject, author, email, self.date, self.message, self.diff, self.total)


def read(where: str, repository: Path | None) -> tuple[Patch, ...]:
    """Return the patches of an mbox, of a folder of mails, or of a range of commits of a repository.

    Replies and cover letters are left out; numbered mails are sorted by their numbers.

    Raises:
        UsageError: there is no patch, there are more than MAX_PATCHES, or two that differ have one number.

    """
    path = Path(where).expanduser()
    mails = _of_path(path) if path.exists() else _of_range(where, repository or Path())
    numbered = _numbered(list(filter(_is_patch, mails)))
    if not numbered:
        raise UsageError(f"{where} holds no patch", "Name an mbox as `b4 am` writes it, a folder of patches, or A..B.")
    return tuple(mail.patch(number) for number, mail in numbered.items())


def _is_patch(mail: _Mail) -> bool:
    return mail.is_patch


def _of_path(path: Path) -> list[_Mail]:
    """Return the mails of an mbox, or of each file of a folder that looks like a mail."""
    found: list[_Mail] = []
    for content in filter(_may_be_mail, _contents(path)):
        found += _split(_mbox(content))
        _check_number(len(found))
    return found


def _check_number(mails: int) -> None:
    if mails > MAX_PATCHES:
        raise UsageError(f"{mails} mails are more than any series", f"At most {MAX_PATCHES}.")


def _contents(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, or of each file of a folder."""
    # Sorted, as the names that git format-patch gives (0001-…, 0002-…) are in the order of the series.
    files = sorted(filter(Path.is_file, path.iterdir())) if path.is_dir() else [path]
    left_bytes = MAX_BYTES
    for file in files:
        with file.open("rb") as opened:  # a pipe has no size that could be looked at
            content = opened.read(left_bytes + 1)
        left_bytes -= len(content)
        if left_bytes < 0:
            raise UsageError(f"{path} is larger than any series", f"At most {MAX_BYTES >> 20} MiB.")
        yield content


def _may_be_mail(content: bytes) -> bool:
    """Return whether a file has a diff, or an encoded body (base64, quoted-printable) that may hold one."""
    return bool(_DIFF.search(content)) or b"\nContent-Transfer-Encoding:" in content


def _mbox(content: bytes) -> bytes:
    return content if content.startswith(b"From ") else MAIL + content


def _of_range(words: str, folder: Path) -> list[_Mail]:
    if ".." not in words:
        raise UsageError(
            f"{words} is no file, no folder and no range", "A range of commits is A..B; --repo names the repository."
        )
    if "..." in words:
        raise UsageError(f"{words} has the commits of both its ends", "A..B has those of B that A has not.")
    for end in words.split(".."):
        git.commit(folder, end or "HEAD")  # an end that does not exist is named by itself
    if git.run(folder, "rev-list", "--merges", "--max-count=1", "--end-of-options", words).strip():
        raise UsageError(f"{words} holds a merge, which is no patch", "Rebase it, or take the range of one side.")
    # Each option overrides a configuration key that changes the format: https://git-scm.com/docs/git-format-patch.
    options = (
        "-U3",
        "--stdout", "--numbered", "--binary", "--full-index", "--no-renames", "--no-signature", "--no-cover-letter",
        "--no-thread", "--no-attach", "--no-color", "--no-ext-diff", "--src-prefix=a/", "--dst-prefix=b/",
    )  # fmt: skip
    return _split(git.run(folder, "format-patch", *options, "--end-of-options", words))


def _split(mbox: bytes) -> list[_Mail]:
    """Return the mails of an mbox; git splits it as `git am` does."""
    lines = mbox.count(b"\nFrom ")
    if lines > MAX_FROM_LINES:
        raise UsageError(f"{lines} lines that begin a mail are more than any series", f"At most {MAX_FROM_LINES}.")
    with paths.temporary("patches") as folder:
        # -b: a file that does not begin with a `From ` line is one mail. --keep-cr: a patch of a file with CR LF line
        # ends needs them; `_unix` takes away those that a mail program added.
        git.run_bounded(folder, "mailsplit", "-b", "--keep-cr", f"-o{folder}", stdin=mbox)
        mails = sorted(folder.iterdir())
        _check_number(len(mails))
        return [_mail(folder, _unix(mail.read_bytes())) for mail in mails]


def _unix(mail: bytes) -> bytes:
    """Return a mail with the line ends that git writes, LF alone; some mail programs save CR and LF in all lines."""
    # Only where the header has CR too: a CR in the body alone is part of the patch.
    header = mail.partition(b"\n\n")[0].partition(b"\r\n\r\n")[0]
    return mail.replace(b"\r\n", b"\n") if header.endswith(b"\r") or b"\r\n" in header else mail


def _mail(folder: Path, mail: bytes) -> _Mail:
    """Return a mail, taken apart by git-mailinfo(1), which writes the message and the diff to files in `folder`."""
    message, diff = folder / "message", folder / "diff"
    # -k keeps the subject's prefixes, which hold the patch's number.
    words = ("mailinfo", "-k", "--encoding=UTF-8", str(message), str(diff))
    said = git.run_bounded(folder, *words, stdin=mail).decode(errors="replace")
    # By `\n` alone: other ends of line that Python knows may be in a subject, and forge a fact.
    facts = {key: value for key, colon, value in (line.partition(": ") for line in said.split("\n")) if colon}
    subject, author, email, date = (
        facts.get(key, "")[:SUBJECT_CHARS] for key in ("Subject", "Author", "Email", "Date")
    )
    body = message.read_text(encoding="utf-8", errors="replace")
    return _Mail(subject, author, email, date, body, diff.read_bytes())


def _numbered(mails: list[_Mail]) -> dict[int, _Mail]:
    """Map the numbers of patches (`[PATCH 3/14]`) to their mails; where one has no number, all count from 1.

    Raises:
        UsageError: two mails with different diffs have one number.

    """
    if any(mail.number is None for mail in mails):
        return dict(enumerate(mails, 1))
    numbered: dict[int, _Mail] = {}
    for mail in mails:
        number = mail.number or 0
        if numbered.setdefault(number, mail).diff != mail.diff:
            raise UsageError(f"two patches have the number {number}", "Two versions, or two series? Pass one of them.")
    return dict(sorted(numbered.items()))


def missing(found: Sequence[Patch]) -> tuple[int, ...]:
    """Return the numbers from 1 to the series' total, by its subjects, that no patch has."""
    total = max((patch.total for patch in found), default=0)
    return tuple(sorted({*range(1, total + 1)} - {patch.number for patch in found}))
