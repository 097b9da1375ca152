"""The patches of a series: from mails, a folder of them, or a range of commits."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import UsageError
from matrix.trees import git

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BYTES = 64 << 20
MAX_PATCHES = 1000
MAIL = b"From mail Mon Sep 17 00:00:00 2001\n"
_NUMBER = re.compile(r"\[[^]]*\bPATCH\b[^]]*?\b(\d{1,4})/(\d{1,4})\]", re.I)
_REPLY = re.compile(r"^\s*(re|aw|fwd?)\s*:", re.I)
_DIFF = re.compile(rb"^(?:diff --git .|--- .+\n\+\+\+ .)", re.M)
_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")


@dataclass(frozen=True)
class Patch:
    """One patch: `number` and `total` are those of its `[PATCH 3/14]`, `diff` is what `git apply` takes.

    `date` is the author's.
    """

    number: int
    subject: str
    author: str
    email: str
    date: str
    message: str
    diff: bytes
    total: int = 0

    def hunk(self, path: str, line: int) -> str:
        """Return which hunk of a file begins at a line of the file as it was: `hunk 2 of 3 (@@ -12,7 +12,8 @@)`."""
        found: list[str] = []
        here = False
        for text in self.diff.decode("utf-8", "surrogateescape").splitlines():
            if text.startswith("diff --git "):
                here = text.endswith(f" b/{path}") or text.startswith(f"diff --git a/{path} ")
            elif here and _HUNK.match(text):
                found.append(text)
        for number, text in enumerate(found, 1):
            match = _HUNK.match(text)
            if match and int(match.group(1)) == line:
                return f"hunk {number} of {len(found)} ({match.group(0)})"
        return f"line {line}"


def read(where: str, repository: Path | None) -> tuple[Patch, ...]:
    """Return the patches of an mbox, of a folder of mails, or of a range of commits of a repository.

    Replies and cover letters, which change nothing, are left out; mails that are numbered come in that order.

    Raises:
        UsageError: there are none, or more than any series has.

    """
    path = Path(where).expanduser()
    mails = _mails(path) if path.exists() else _range(where, repository)
    found = _numbered([mail for mail in mails if _DIFF.search(mail[1]) and not _REPLY.match(mail[0]["Subject"])])
    if not found:
        raise UsageError(
            f"{where} holds no patch", "It must be an mbox as `b4 am` writes it, a folder of patches, or A..B."
        )
    return tuple(_patch(number, facts, diff) for number, (facts, diff) in found.items())


_Mail = tuple[dict[str, str], bytes]


def _mails(path: Path) -> list[_Mail]:
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    if sum(file.stat().st_size for file in files) > MAX_BYTES:
        raise UsageError(f"{path} is larger than any series", f"At most {MAX_BYTES >> 20} MiB.")
    found: list[_Mail] = []
    for file in files:
        content = file.read_bytes()
        if _DIFF.search(content) or b"\nContent-Transfer-Encoding:" in content:
            found += _split(content if content.startswith(b"From ") else MAIL + content)
    return found


def _range(words: str, repository: Path | None) -> list[_Mail]:
    if ".." not in words:
        raise UsageError(
            f"{words} is no file, no folder and no range", "A range of commits is A..B; --repo names the repository."
        )
    folder = repository or Path()
    if "..." in words:
        raise UsageError(f"{words} is both sides of a fork", "A..B is what B has and A has not.")
    if git.run(folder, "rev-list", "--merges", "--max-count=1", "--end-of-options", words).strip():
        raise UsageError(f"{words} holds a merge, which is no patch", "Rebase it, or take the range of one side.")
    options = (
        "-U3",
        "--stdout", "--numbered", "--binary", "--full-index", "--no-renames", "--no-signature", "--no-cover-letter",
        "--no-thread", "--no-attach", "--no-color", "--no-ext-diff", "--src-prefix=a/", "--dst-prefix=b/",
    )  # fmt: skip
    return _split(git.run(folder, "format-patch", *options, "--end-of-options", words))


def _split(mbox: bytes) -> list[_Mail]:
    """Return each mail's facts and diff; git takes mails apart as `git am` does."""
    with tempfile.TemporaryDirectory(prefix="perf-matrix-") as name:
        folder = Path(name)
        git.run(folder, "mailsplit", "-b", "--keep-cr", f"-o{folder}", stdin=mbox)
        mails = sorted(folder.iterdir())
        if len(mails) > MAX_PATCHES:
            raise UsageError(f"{len(mails)} mails are more than any series", f"At most {MAX_PATCHES}.")
        return [_facts(folder, _unix(mail.read_bytes())) for mail in mails]


def _unix(mail: bytes) -> bytes:
    """Return a mail with the ends of line that git writes: some programs save it all with a mail's, CR and LF."""
    header = mail.partition(b"\n\n")[0].partition(b"\r\n\r\n")[0]
    return mail.replace(b"\r\n", b"\n") if header.endswith(b"\r") or b"\r\n" in header else mail


def _facts(folder: Path, mail: bytes) -> _Mail:
    message, diff = folder / "message", folder / "diff"
    words = ("mailinfo", "-k", "--encoding=UTF-8", str(message), str(diff))
    said = git.run(folder, *words, stdin=mail).decode(errors="replace")
    facts = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
    body = message.read_text(encoding="utf-8", errors="replace")
    return {"Subject": "", "Author": "", "Email": "", "Date": "", **facts, "message": body}, diff.read_bytes()


def _numbered(mails: list[_Mail]) -> dict[int, _Mail]:
    """Return mails by the number of their `[PATCH 3/14]`, or as they came where one has none."""
    matches = [_NUMBER.search(facts["Subject"]) for facts, _ in mails]
    if all(matches):
        places: dict[int, _Mail] = {}
        for match, mail in zip(matches, mails, strict=True):
            number = int(match.group(1)) if match else 0
            if places.setdefault(number, mail)[1] != mail[1]:
                raise UsageError(f"there are two patches {number}", "Two versions, or two series? Pass one of them.")
        return {number: places[number] for number in sorted(places)}
    return dict(enumerate(mails, 1))


def _patch(number: int, facts: dict[str, str], diff: bytes) -> Patch:
    subject = re.sub(r"^(\s*\[[^]]*\])+\s*", "", facts["Subject"]).strip() or "(no subject)"
    author, email = (facts[key] or "unknown" for key in ("Author", "Email"))
    match = _NUMBER.search(facts["Subject"])
    total = int(match.group(2)) if match else 0
    return Patch(number, subject, author, email, facts["Date"], facts["message"], diff, total)


def missing(found: Sequence[Patch]) -> tuple[int, ...]:
    """Return the numbers that a series should have, by its subjects, and has not."""
    total = max((patch.total for patch in found), default=0)
    return tuple(sorted({*range(1, total + 1)} - {patch.number for patch in found}))
