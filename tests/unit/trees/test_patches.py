from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING

import pytest

from matrix.errors import UsageError
from matrix.trees import git, patches

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def diff(path: str = "a.c", old: str = "one", new: str = "two") -> str:
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{old}\n+{new}\n"


def mail(subject: str, body: str = "", *, sender: str = "A U Thor <a@example.org>") -> str:
    return (
        f"From 0123456789 Mon Sep 17 00:00:00 2001\nFrom: {sender}\nDate: Wed, 20 May 2026 10:00:00 +0000\n"
        f"Subject: {subject}\n\nWhy it is done.\n---\n a.c | 2 +-\n\n{body}-- \n2.39\n\n"
    )


def mbox(tmp_path: Path, *mails: str) -> Path:
    path = tmp_path / "series.mbx"
    path.write_text("".join(mails), newline="")
    return path


def subjects(found: Sequence[patches.Patch]) -> list[tuple[int, str]]:
    return [(patch.number, patch.subject) for patch in found]


def test_a_patch_has_its_author_and_message(tmp_path: Path) -> None:
    (patch,) = patches.read(str(mbox(tmp_path, mail("[PATCH] perf build: Do it", diff()))), None)
    assert (patch.number, patch.subject, patch.author, patch.email) == (
        1,
        "perf build: Do it",
        "A U Thor",
        "a@example.org",
    )
    assert patch.message == "Why it is done.\n"
    assert patch.diff.endswith(b"+two\n-- \n2.39\n\n")


def test_mails_come_in_the_order_of_their_numbers_without_cover_letter_and_replies(tmp_path: Path) -> None:
    path = mbox(
        tmp_path,
        mail("[PATCH v7 2/3] Second", diff("b.c")),
        mail("[PATCH v7 0/3] Cover"),
        mail("Re: [PATCH v7 1/3] First", "> " + diff()),
        mail("Re: [PATCH v7 1/3] First", diff()),
        mail("[PATCH v7 1/3] First", diff()),
        mail("[PATCH v7 3/3] Third", diff("c.c")),
    )
    assert subjects(patches.read(str(path), None)) == [(1, "First"), (2, "Second"), (3, "Third")]


def test_patches_that_were_left_out_keep_the_others_numbers(tmp_path: Path) -> None:
    path = mbox(tmp_path, mail("[PATCH 3/3] Third", diff()), mail("[PATCH 2/3] Second", diff()))
    found = patches.read(str(path), None)
    assert subjects(found) == [(2, "Second"), (3, "Third")]
    assert patches.missing(found) == (1,)
    assert patches.missing([]) == ()


def test_two_patches_of_one_number_are_refused_unless_they_are_the_same(tmp_path: Path) -> None:
    twice = mbox(tmp_path, mail("[PATCH 1/1] A", diff()), mail("[PATCH 1/1] A", diff()))
    assert subjects(patches.read(str(twice), None)) == [(1, "A")]
    other = mbox(tmp_path, mail("[PATCH 1/1] A", diff()), mail("[PATCH v2 1/1] A", diff("b.c")))
    with pytest.raises(UsageError, match="two patches have the number 1"):
        patches.read(str(other), None)


def test_mails_without_numbers_come_as_they_are(tmp_path: Path) -> None:
    path = mbox(tmp_path, mail("[PATCH] B", diff()), mail("A", diff()))
    assert subjects(patches.read(str(path), None)) == [(1, "B"), (2, "A")]


@pytest.mark.parametrize(
    "header",
    ['diff --git "a/f\\303\\251" "b/f\\303\\251"\nold mode 100644\n', "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"],
)
def test_a_name_that_git_quotes_and_a_plain_diff_are_patches_too(tmp_path: Path, header: str) -> None:
    assert subjects(patches.read(str(mbox(tmp_path, mail("[PATCH] P", header))), None)) == [(1, "P")]


def test_a_folder_of_patches_is_taken_by_name(tmp_path: Path) -> None:
    (tmp_path / "0002-b.patch").write_text(mail("B", diff()))
    (tmp_path / "0001-a.patch").write_text(mail("A", diff()).partition("\n")[2])
    (tmp_path / "README").write_text("no mail")
    assert subjects(patches.read(str(tmp_path), None)) == [(1, "A"), (2, "B")]


def test_mails_that_were_saved_with_a_mails_ends_of_line_are_the_same_patches(tmp_path: Path) -> None:
    text = mail("[PATCH] perf build: Do it", diff(new="has a CR\r"))
    (expected,) = patches.read(str(mbox(tmp_path, text)), None)
    path = tmp_path / "one.eml"
    first = text.index("\n") + 1
    crlf = text.replace("\n", "\r\n")
    for saved in (crlf, crlf[first + 1 :], text[:first] + crlf[first + 1 :]):
        path.write_bytes(saved.encode())
        assert patches.read(str(path), None) == (expected,)
    assert b"+has a CR\r\n" in expected.diff


def test_a_mail_in_base64_is_read(tmp_path: Path) -> None:
    text = mail("[PATCH] Encoded", diff())
    head, _, body = text.partition("\n\n")
    encoded = base64.encodebytes(body.encode()).decode()
    path = tmp_path / "one.eml"
    path.write_text(f"{head}\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n{encoded}")
    assert patches.read(str(path), None)[0].diff.startswith(b"---\n a.c | 2 +-\n\ndiff --git a/a.c")


def test_a_range_of_commits_is_read(tmp_path: Path) -> None:
    git.run(tmp_path, "init", "-q")
    for number, text in enumerate(("one\n", "two\n", "three\n")):
        (tmp_path / "a.c").write_text(text)
        git.run(tmp_path, "add", ".")
        git.run(tmp_path, "commit", "-q", "-m", f"Commit {number}")
    assert subjects(patches.read("HEAD~2..HEAD", tmp_path)) == [(1, "Commit 1"), (2, "Commit 2")]
    git.run(tmp_path, "checkout", "-q", "-b", "side", "HEAD~1")
    git.run(tmp_path, "merge", "-q", "--no-ff", "-m", "M", "-s", "ours", "HEAD@{1}")
    with pytest.raises(UsageError, match="holds a merge"):
        patches.read("HEAD~1..HEAD", tmp_path)
    with pytest.raises(UsageError, match="the commits of both its ends"):
        patches.read("HEAD~1...HEAD", tmp_path)
    git.run(tmp_path, "checkout", "-q", "HEAD^2")
    assert subjects(patches.read("HEAD~1..", tmp_path)) == [(1, "Commit 2")]
    for words in ("nope..HEAD", "HEAD~1..nope", "..nope"):
        with pytest.raises(UsageError, match="there is no revision 'nope' in"):
            patches.read(words, tmp_path)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("nothing-here", "is no file, no folder and no range"),
        ("a..b", "is no git repository that can be read"),
        (".", "holds no patch"),
    ],
)
def test_what_holds_no_patch_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        patches.read(where, tmp_path)


def test_more_than_any_series_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = mbox(tmp_path, mail("A", diff()), mail("B", diff()))
    monkeypatch.setattr(patches, "MAX_PATCHES", 1)
    with pytest.raises(UsageError, match="2 mails are more"):
        patches.read(str(path), None)
    monkeypatch.setattr(patches, "MAX_BYTES", 10)
    with pytest.raises(UsageError, match="larger than any series"):
        patches.read(str(path), None)


def test_a_machine_without_git_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git could not be run"):
        git.run(tmp_path, "status")


def test_the_users_configuration_and_variables_are_not_for_our_repositories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    git.run(tmp_path, "init", "-q")
    assert subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=False, capture_output=True).returncode
    monkeypatch.delenv("GIT_CONFIG_COUNT")
    assert git.run(tmp_path, "rev-parse", "--git-dir") == b".git\n", "as in a hook of another repository"
