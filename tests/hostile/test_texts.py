"""Texts of a stranger that take hours where an expression goes back over them: each input here did, or took the memory.

A test that ends has passed: the inputs are some thousand times as long as those that took a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.checks import build, parents
from matrix.errors import UsageError
from matrix.scenario import perf
from matrix.scenario.gitignore import IgnoreFiles, covered
from matrix.trace import file_access
from matrix.trees import patches, scratch_repository
from matrix.trees.patches import Patch
from matrix.verdicts import kept_build
from tests.unit import conftest as make

if TYPE_CHECKING:
    from pathlib import Path

LONG = 200_000

# Patterns of .gitignore files, each with a name that it is not for, and one that it is for.
PATTERNS = {
    "stars and letters": ("*a" * 60 + "b", "a" * 255, "a" * 254 + "b"),
    "two stars in each part": ("/".join(["**"] * 100) + "/x", "a/" * 60 + "b", "a/" * 60 + "x"),
    "two stars and a part, again and again": ("**/a/" * 60 + "b", "a/" * 62 + "c", "a/" * 62 + "b"),
    "question marks and stars": ("*?" * 100 + "b", "a" * 255, "a" * 254 + "b"),
    "classes without an end": ("[" * LONG, "[" * 200, ""),
    "classes and stars": ("*[!b]" * 100 + "b", "a" * 255, "a" * 200 + "b"),
    "backslashes": ("\\" * LONG, "\\" * 255, ""),
    "blanks at the end": ("a" + " " * LONG + "b", "a", ""),
    "a name that no file can have": ("a" * LONG, "a" * 255, ""),
}


@pytest.mark.parametrize("case", PATTERNS)
def test_a_pattern_of_a_gitignore_is_matched_in_linear_time(case: str) -> None:
    pattern, other, match = PATTERNS[case]
    assert not covered(other, {"": pattern + "\n"})
    if match:
        assert covered(match, {"": pattern + "\n"})


NO_PATTERNS = ["!", "[z-a]", "[[:nothing:]]", "\\", "/", "//", "!/", "**", "[", "[]", "[!]", "a\0b", " ", "a\\ "]


@pytest.mark.parametrize("line", NO_PATTERNS)
def test_a_line_that_is_no_pattern_is_for_nothing_or_for_what_git_says(line: str) -> None:
    assert covered("tools/a", {"tools": f"{line}\n"}) is (line == "**")


def test_each_folder_of_a_tree_is_looked_at_once() -> None:
    ignored = IgnoreFiles({"": "*.o\n"})
    paths = [f"{'a/' * 60}{number}.c" for number in range(5000)]
    assert not any(map(ignored.covers, paths))
    assert len(ignored._folders) == 61


OUTPUTS = {
    "empty lines": "\n" * LONG,
    "blanks": " " * LONG,
    "numbers": " 1.1" * LONG,
    "a test without an end": "1: " + " :" * LONG + "x",
    "numbers and colons": "1: a:" * LONG,
    "one line without a carriage return": "a" * LONG,
    "colours without an end": "\x1b[1;" * LONG,
    "options without an end": "a: [ on" + " " * LONG,
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_the_output_of_a_program_is_read_in_linear_time(case: str) -> None:
    output = OUTPUTS[case]
    build.tests(output)
    assert not perf.build_options(output)
    assert not build._FEATURE.findall(output)


def mail(subject: str, body: str = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-1\n+2\n") -> str:
    return f"From x Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\nDate: 1\nSubject: {subject}\n\nWhy\n---\n{body}\n"


SUBJECTS = {
    "brackets without an end": "[PATCH " * 5000,
    "brackets in brackets": "[" * 20_000 + "PATCH 1/2]",
    "numbers without an end": "[PATCH " + "1/" * 10_000 + "]",
    "blanks": "[PATCH]" + " " * 20_000 + "x",
    "a separator that Python takes for an end of line": "x\u2028Author: forged\x1cEmail: forged@x",
}


@pytest.mark.parametrize("case", SUBJECTS)
def test_the_subject_of_a_mail_is_read_in_linear_time(case: str, tmp_path: Path) -> None:
    (tmp_path / "mail").write_text(mail(SUBJECTS[case]))
    [patch] = patches.read(str(tmp_path / "mail"), None)
    assert (patch.author, patch.email) == ("A", "a@b")
    assert len(patch.subject) <= patches.SUBJECT_CHARS


MBOXES = {
    "two million mails": ("From \n" * 2_000_000 + mail("x"), "2000000 lines that begin a mail are more"),
    "eleven hundred mails": (mail("[PATCH] x") * 1100, "1100 mails are more than any series"),
    "more than 64 MiB": ("x" * (65 << 20), "at most 64 MiB|larger than any series"),
}


@pytest.mark.parametrize("case", MBOXES)
def test_mails_beyond_a_limit_are_refused_with_its_name(case: str, tmp_path: Path) -> None:
    text, why = MBOXES[case]
    (tmp_path / "mails").write_text(text)
    with pytest.raises(UsageError, match=why):
        patches.read(str(tmp_path / "mails"), None)


def test_a_folder_of_mails_is_no_larger_than_a_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "MAX_PATCHES", 2)
    for number in range(4):
        (tmp_path / f"{number}.patch").write_text(mail(f"[PATCH] {number}"))
    with pytest.raises(UsageError, match="3 mails are more than any series"):
        patches.read(str(tmp_path), None)


def test_the_hunks_of_a_patch_that_does_not_apply_are_looked_for_once() -> None:
    heads = b"".join(b"diff --git a/%d b/%d\n@@ -1 +1 @@\n" % (number, number) for number in range(20_000))
    said = "".join(f"error: patch failed: {number}:1\n" for number in range(20_000))
    reasons = scratch_repository._reasons(Patch(1, "s", "a", "e", "", "", heads), said)
    assert reasons[0] == "0: hunk 1 of 1 (@@ -1 +1 @@) does not apply"
    assert reasons[-1] == f"and {20_000 - scratch_repository.MAX_REASONS} more"
    assert len(reasons) == scratch_repository.MAX_REASONS + 1


def test_quotes_without_an_end_are_read_once() -> None:
    for text in ('"' + '\\"' * LONG, "'" + "\\'" * LONG, '"\n' * LONG, "/*" * LONG):
        assert kept_build.reads_the_same(text, text)


def test_words_of_a_command_line_are_read_in_linear_time() -> None:
    process = make.process(0, "sh", "-c", "A=" + "a" * 100_000 + " gcc x.c")
    assert file_access.access(tuple(process[2]["argvs"][0]), "/src")
    assert perf.feature_inputs("test-" * LONG) == []
    assert perf.feature_inputs("/test-a.c" * LONG)


def test_each_folder_above_many_paths_is_found_once() -> None:
    deep = "/d" * 1000
    assert len(parents(f"{deep}/{number}" for number in range(20_000))) == 1001
