"""Sources of trees: archives, packages, answers of servers, git's objects, mails, texts of a tree."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import re
import tarfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from matrix import files
from matrix.errors import InfrastructureError, MatrixError, UsageError
from matrix.model import globs
from matrix.trees import (
    download,
    facts,
    git,
    git_objects,
    patches,
    scratch_repository,
    tar_members,
    transfer,
    tree_archive,
    tree_cache,
    volumes,
)
from matrix.trees.sources import deb
from matrix.trees.transfer import Headers
from matrix.verdicts import series
from tests.fuzz import samples
from tests.fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator


def _archive(data: bytes) -> None:
    """Read an archive into a tree, as `tar:FILE` is."""
    with tarfile.open(fileobj=io.BytesIO(), mode="w|") as sink:
        tree_archive.write(tar_members.members(io.BytesIO(data), "linux.tar"), sink, lambda _: None)


def _package(data: bytes) -> None:
    path = samples.written("package.tar", data)
    deb._version(path)
    for member in deb._members(path):
        member.read()


def _answer(data: bytes) -> None:
    """Give a download the headers and the body of an answer, each header on a line of its own."""
    head, _, body = data.partition(b"\n\n")
    status, *lines = head.decode("latin-1").split("\n")
    fields = dict(line.partition(": ")[::2] for line in lines)
    headers = Headers(
        int(status) if status in ("200", "206", "416") else 200, fields, ("https://kernel.example/a.tar",)
    )
    PLACE.forget()

    @contextlib.contextmanager
    def get(*_: Any) -> Iterator[Any]:
        yield SimpleNamespace(headers=headers, blocks=iter([body]))

    with samples.replaced(transfer, "get", get):
        for _ in range(2):
            download._download_rest(PLACE, 0.0, may_be_plain=False)


def _listing(data: bytes) -> None:
    """Give the reader of git's objects the output of ls-tree and of cat-file."""
    listing, _, objects = data.partition(b"\n\n")
    with _git(listing):
        names = [entry.name for entry in git_objects.entries(samples.folder(), "HEAD", "too large")]
    with _git(objects):
        list(git_objects.contents(samples.folder(), names or ["1" * 40], 1 << 20, "too large"))


@contextlib.contextmanager
def _git(output: bytes) -> Iterator[None]:
    @contextlib.contextmanager
    def streaming(*_: Any, **__: Any) -> Iterator[Any]:
        yield SimpleNamespace(stdout=io.BytesIO(output))

    with samples.replaced(git, "streaming", streaming):
        yield


def _mail(data: bytes) -> None:
    """Take the parts of mails as git-mailinfo(1) gives them: subjects before a NUL, the diff after it."""
    head, _, diff = data.partition(b"\0")
    text = head.decode("utf-8", "replace")
    subjects = (line[: patches.SUBJECT_CHARS] for line in text.split("\n"))  # as _mail cuts them
    mails = [patches._Mail(subject, "a", "b", "c", "d", diff) for subject in subjects]
    patches._may_be_mail(data)
    patches._unix(data)
    mails = [mail for mail in mails if mail.is_patch]
    for number, mail in patches._numbered(mails).items():
        mail.patch(number).hunks()
    patches.missing([mail.patch(1) for mail in mails])


def _refusal(data: bytes) -> None:
    """Take what git-apply(1) says of a patch, after the patch and a NUL."""
    diff, _, said = data.partition(b"\0")
    patch = patches.Patch(1, "a", "b", "c", "d", "e", diff)
    scratch_repository._reasons(patch, said.decode(errors="replace"))


def _mbox(data: bytes) -> None:
    patches.read(str(samples.written("series.mbox", data)), None)


def _texts(data: bytes) -> None:
    globs._expression.cache_clear()  # a tree's are new each time: no cache, nor re's of 512, hides what they cost
    re.purge()
    text = data.decode("utf-8", "replace")
    facts.kernel_version(text)
    facts.package_version(text)
    series.is_idle(["tools/perf/a.c", "a" * len(data)], series.manifest_globs(text))


def _indexed(data: bytes) -> None:
    facts.TreeFile.parse(data.decode("utf-8", "replace"))


def _cached(data: bytes) -> None:
    """Read a record of the cache of trees, with a seal that is right."""
    cache = tree_cache.TreeCache(samples.folder() / "trees")
    digest = "5" * 64
    cache.folder.mkdir(exist_ok=True)
    for suffix in ("json", "offsets.json"):
        samples.written(f"trees/{digest}.{suffix}", data + files._seal(data))
    samples.written(f"trees/{digest}.tar", bytes(1024))
    cache.facts(digest)
    with contextlib.suppress(tree_cache.DamagedTreeError):
        cache.offsets(digest)


def _pin(data: bytes) -> None:
    volumes._noted(samples.written("good.json", data))


PLACE = download._Place("https://kernel.example/a.tar", samples.folder() / "a.tar")


def _extended(kind: bytes, content: bytes) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(content)
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def _link() -> tarfile.TarInfo:
    link = tarfile.TarInfo("linux/net/link")
    link.type, link.linkname = tarfile.SYMTYPE, "../Makefile"
    return link


TREE = {"linux/Makefile": b"VERSION = 7\n", "linux/tools/perf/.gitignore": b"*.o\n", "linux/net/a.c": b"int a;\n"}
PLAIN = samples.plain_tar(TREE, _link())
PAX = _extended(tarfile.XHDTYPE, b"18 path=linux/net\n") + samples.plain_tar(TREE)
SIZED = _extended(tarfile.XHDTYPE, "11 size=²\n".encode()) + samples.plain_tar(TREE)
DIFF = b"""diff --git a/tools/perf/a.c b/tools/perf/a.c
--- a/tools/perf/a.c
+++ b/tools/perf/a.c
@@ -12,2 +12,2 @@ x
-a
+b
"""
MBOX = (
    b"""From mail Mon Sep 17 00:00:00 2001
From: A <a@b>
Date: Mon, 1 Jan 2024 00:00:00 +0000
Subject: [PATCH v7 1/2] x

body
---
%s-- \n2

"""
    % DIFF
)
ONE, TWO = b"1" * 40, b"2" * 40
LISTING = b"100644 blob %s\tMakefile\0120000 blob %s\tnet/a\0\n\n%s blob 3\nabc\n%s blob 1\na\n" % (ONE, TWO, ONE, TWO)
ANSWER = b'200\nContent-Length: 3\nETag: "1"\nContent-Range: bytes 0-2/3\n\nabc'
RECORD = b"""{"format": 2, "sha256": "%s", "version": "7.3", "index": {"Makefile": "644 1"}, "ignore": {"": "*.o"},
"generator_has_pool": true, "archive_bytes": 1024, "archive_sha256": "1", "remarks": []}""" % (b"5" * 64)

REFUSED = b"Checking patch a.c...\nerror: while searching for:\na\nerror: patch failed: tools/perf/a.c:12\n"

TARGETS = (
    Target(
        "archive",
        _archive,
        (PLAIN, PAX, gzip.compress(PLAIN), bz2.compress(PLAIN), lzma.compress(PLAIN)),
        own=(MatrixError,),
        cost=4,
        words=(
            _extended(tarfile.XHDTYPE, b"30 path=linux/net/x\n"),
            _extended(tarfile.XHDTYPE, b"11 size=9\n"),
            SIZED[:1024],
            _extended(tarfile.GNUTYPE_LONGNAME, b"linux/x\0"),
            b"linux/",
            b"../",
            b"ustar\0",
            bytes(512),
        ),
        growing={
            "headers": lambda size: samples.plain_tar({f"linux/net/{n}": b"" for n in range(size // 512 * 4)}),
            "extended headers": lambda size: _extended(tarfile.XHDTYPE, b"11 size=9\n") * (size // 256),
            "records": lambda size: _extended(tarfile.XHDTYPE, b"6 a=\n" * (min(size, 16000) // 6)),
        },
    ),
    Target(
        "package",
        _package,
        (samples.plain_tar({"./linux-source_7.3.tar.xz": lzma.compress(PLAIN)}),),
        own=(MatrixError,),
        cost=4,
        words=(_extended(tarfile.XHDTYPE, b"30 path=linux/net/x\n"), SIZED[:1024], bytes(512)),
        growing={"extended headers": lambda size: _extended(tarfile.XHDTYPE, b"9 a=bcd\n") * (size // 256)},
    ),
    Target(
        "answer",
        _answer,
        (ANSWER, ANSWER.replace(b"200", b"206")),
        own=(UsageError, InfrastructureError),
        cost=4,
        words=(b"Content-Length: ", b"Content-Range: bytes ", b"ETag: ", b"Last-Modified: ", b"\n", b"\xb2"),
    ),
    Target(
        "git-objects",
        _listing,
        (LISTING,),
        own=(MatrixError, EOFError),
        cost=2,
        words=(b" missing\n", b" blob ", b"\t", b"160000 commit ", b"\0"),
        growing={"files": lambda size: b"100644 blob 1\ta\0" * (size // 16) + b"\n\n" + b"1 blob 0\n\n" * (size // 16)},
    ),
    Target(
        "mail",
        _mail,
        (b"[PATCH v7 1/2] a\nRe: [PATCH 2/2] b\n[RFC PATCH 02/14] c\0" + DIFF,),
        own=(UsageError,),
        words=(b"[PATCH ", b"/", b"] ", b"@@ -", b" +1 @@", b"diff --git ", b"--- a\n+++ b\n"),
        growing={
            "brackets": lambda size: b"[" * size + b"\0" + DIFF,
            "patches": lambda size: b"[" + b"PATCH " * (size // 6) + b"\0" + DIFF,
            "numbers": lambda size: b"[PATCH " + b"1/" * (size // 2) + b"\0" + DIFF,
            "prefixes": lambda size: b"[a]" * (size // 3) + b"\0" + DIFF,
            "blanks": lambda size: b" " * size + b"\0" + DIFF,
            "hunks": lambda size: b"[PATCH] a\0" + DIFF + b"@@ -1 +1 @@\n" * (size // 12),
            "dashes": lambda size: b"[PATCH] a\0" + b"--- a\n" * (size // 6),
            "subjects": lambda size: b"[PATCH] a\n" * (size // 10) + b"\0" + DIFF,
        },
    ),
    Target(
        "git-refusal",
        _refusal,
        (DIFF + b"\0" + REFUSED,),
        words=(b"error: patch failed: ", b"error: ", b"a.c:", b":12", b": patch does not apply\n", b"\n"),
        growing={
            "hunks": lambda size: DIFF + b"@@ -1 +1 @@\n" * (size // 12) + b"\0" + REFUSED * (size // len(REFUSED)),
            "files": lambda size: b"\0" + b"".join(b"error: patch failed: %d:1\n" % n for n in range(size // 25)),
            "errors": lambda size: b"\0" + b"error: a\n" * (size // 9),
            "numbers": lambda size: b"\0error: patch failed: " + b":1" * (size // 2),
            "blanks": lambda size: b"\0" + b"\n" * size,
        },
    ),
    Target(
        "mbox",
        _mbox,
        (MBOX, MBOX + MBOX.replace(b"1/2", b"2/2")),
        own=(MatrixError,),
        cost=24,
        words=(
            b"From mail Mon Sep 17 00:00:00 2001\n",
            b"\nContent-Transfer-Encoding: base64\n",
            b"=?utf-8?q?",
            b"?=",
            b"-- \n",
        ),
    ),
    Target(
        "tree's-texts",
        _texts,
        (b"VERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL =\nEXTRAVERSION = -rc1\n", b"tools/perf\ntools/*.c\n"),
        words=(b"VERSION", b"=", b"[", b"*"),
        growing={
            "blanks": lambda size: b"VERSION" + b" " * size,
            "lines": lambda size: b"VERSION = 7\n" * (size // 12),
            "globs": lambda size: b"".join(b"tools/%d/*.c\n" % number for number in range(size // 12)),
            "stars": lambda size: b"*a" * (size // 2) + b"manifest\n",
            "questions": lambda size: b"*?" * (size // 2) + b"manifest\n",
            "classes": lambda size: b"[" * size + b"\n",
            "ranges": lambda size: b"[" + b"b-a" * (size // 3) + b"]\n",
        },
    ),
    Target("index-entry", _indexed, (b"644 " + b"1" * 64, b"777 ../a"), own=(ValueError,)),
    Target("tree-record", _cached, (RECORD,), is_json=True, own=(MatrixError,), cost=4),
    Target("tree-note", _pin, (b'{"sha256": "1", "origin": "git a"}',), is_json=True, own=(UsageError,)),
)
