from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from matrix.config import load
from matrix.errors import InfrastructureError, UsageError
from matrix.model.cell_id import Place
from matrix.model.result import CheckResult, Verdict
from matrix.runs import store
from matrix.series import bisect
from matrix.series.bisect import BisectRequest, BisectStatus
from matrix.trees import git
from tests.unit.conftest import cell, result
from tests.unit.series.conftest import SUBJECTS, outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.series.bisect import FirstBadCommit
    from tests.unit.series.conftest import FakeAccess, FakeComplete, Repository

PLACE = Place("debian-trixie-min/gcc/minimal")
BASE = outcome(PLACE.on("base"), ("/old",))


@pytest.mark.parametrize(
    ("keys", "status"), [(("/old",), 0), ((), 0), (("/old", "/new"), 1)], ids=["the same", "mended", "newly fails"]
)
def test_a_commit_is_bad_where_the_check_newly_fails(keys: tuple[str, ...], status: int) -> None:
    assert bisect.status("clean", BASE, outcome(PLACE.on("c1"), keys), PLACE, "c1") == status


def test_the_statuses_are_those_that_git_takes() -> None:
    assert [int(status) for status in BisectStatus] == [0, 1, 125, 128]


def test_a_commit_cannot_be_tested_where_the_check_was_skipped_or_not_made() -> None:
    skipped = CheckResult(check="touch", verdict=Verdict.SKIP, reason="no")
    head = result(PLACE.on("c1"), Verdict.PASS, checks=(skipped,))
    assert bisect.status("touch", BASE, head, PLACE, "c1") == BisectStatus.SKIP
    assert bisect.status("clean", BASE, head, PLACE, "c1") == BisectStatus.SKIP


def test_an_error_of_the_infrastructure_stops_git() -> None:
    error = outcome(PLACE.on("c1"), (), Verdict.ERROR)
    assert bisect.status("clean", BASE, error, PLACE, "c1") == BisectStatus.STOP
    assert bisect.status("clean", BASE, None, PLACE, "c1") == BisectStatus.STOP
    assert bisect.status("clean", error, BASE, PLACE, "c1") == BisectStatus.STOP


def asked(repository: Repository, good: int, bad: int, **more: str) -> BisectRequest:
    words = {"cell": PLACE, "check": "clean", **more}
    return BisectRequest(
        repository.commits[good], repository.commits[bad], words["cell"], words["check"], repository.folder
    )  # fmt: skip


@pytest.fixture
def runner(completes: Callable[..., FakeComplete]) -> FakeComplete:
    return completes()


def name(commit: str) -> str:
    return f"c{commit[:12]}"


@pytest.fixture
def found(
    repository: Repository, access: FakeAccess, completes: Callable[..., FakeComplete], monkeypatch: pytest.MonkeyPatch
) -> tuple[FirstBadCommit, FakeComplete, list[list[str]]]:
    """Bisect a series whose third patch breaks the check; return also the cells that were run, and git's steps.

    `git bisect run` starts each step as a process of its own, where the fake runner is not: a fake stands in for it and
    calls the step here.
    """
    fake = completes(broken={name(commit): ("/a",) for commit in repository.commits[3:]})
    asked_steps: list[list[str]] = []
    real = subprocess.run

    def run(argv: list[str], **more: Any) -> Any:
        if "run" not in argv or "bisect" not in argv:
            return real(argv, **more)
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL, "git would go on without the command"
        step = argv[argv.index("bisect-step") :]
        asked_steps.append(step)
        bisection = bisect.resume(store.find(step[1]))
        folder = Path(argv[argv.index("-C") + 1])
        said = b""
        while b"is the first" not in said:
            revision = git.commit(folder, "BISECT_HEAD")
            said = git.run(folder, "bisect", bisect.status_at(bisection, revision, access).name.lower(), revision)
        return subprocess.CompletedProcess(argv, 0, said)

    monkeypatch.setattr(subprocess, "run", run)
    commit = bisect.first_bad_commit(asked(repository, 0, 4), load.load(), 1, 2, access)
    return commit, fake, asked_steps


def test_a_bisection_names_the_commit_its_author_and_its_subject(
    repository: Repository, access: FakeAccess, found: tuple[FirstBadCommit, FakeComplete, list[list[str]]]
) -> None:
    commit, fake, [step] = found
    assert access.said.splitlines() == [
        f"preparing the base: {repository.commits[0]}",
        f"running the good commit, {repository.commits[0][:12]}",
        f"running the bad commit, {repository.commits[4][:12]}",
        "searching the commits between, by git bisect",
    ]
    assert (commit.commit, commit.subject) == (repository.commits[3], SUBJECTS[2])
    assert (commit.place, commit.author != "") == (PLACE, True)
    assert step == ["bisect-step", commit.run.name, ""]
    tried = [tree for trees in fake.rounds for tree in trees]
    assert tried[:2] == ["base", name(repository.commits[4])]
    assert len(tried) == len(set(tried))


@pytest.mark.parametrize("subject", ["Feed\x0ca page\x1c, \x85 and\u2028a line", ""])
def test_a_subject_and_an_author_hold_any_character_but_a_newline(
    repository: Repository,
    access: FakeAccess,
    completes: Callable[..., FakeComplete],
    monkeypatch: pytest.MonkeyPatch,
    subject: str,
) -> None:
    author = "A\u2029B"
    words = ("--allow-empty", "--allow-empty-message", f"--author={author} <a@b>", "-m", subject)
    git.run(repository.folder, "commit", "-q", *words)
    bad = git.commit(repository.folder, "HEAD")
    completes(broken={name(bad): ("/a",)})
    real = subprocess.run

    def run(argv: list[str], **more: Any) -> Any:
        """Leave out `git bisect run`: no commit lies between the ends."""
        return subprocess.CompletedProcess(argv, 0, b"") if {"bisect", "run"} <= {*argv} else real(argv, **more)

    monkeypatch.setattr(subprocess, "run", run)
    request = BisectRequest(repository.commits[4], bad, PLACE, "clean", repository.folder)
    commit = bisect.first_bad_commit(request, load.load(), 1, 2, access)
    assert (commit.commit, commit.author, commit.subject) == (bad, author, subject)


def test_the_users_repository_is_not_written_to(
    repository: Repository, found: tuple[FirstBadCommit, FakeComplete, list[list[str]]]
) -> None:
    assert found
    assert git.run(repository.folder, "status", "--porcelain") == b""
    assert not (repository.folder / ".git" / "BISECT_LOG").exists()


@pytest.mark.parametrize(
    ("ends", "more", "message"),
    [
        ((4, 0), {}, "does not come after"),
        ((0, 0), {}, "does not come after"),
        ((0, 4), {"check": "clen"}, "no check 'clen'; did you mean 'clean'"),
        ((0, 4), {"cell": "debian-trixie*/gcc/minimal"}, "cells\n  Name one, as debian-trixie"),
        ((0, 1), {}, "clean does not newly fail at"),
    ],
)
@pytest.mark.usefixtures("runner")
def test_what_cannot_be_bisected_is_refused(
    repository: Repository, access: FakeAccess, ends: tuple[int, int], more: dict[str, str], message: str
) -> None:  # fmt: skip
    with pytest.raises(UsageError) as told:
        bisect.first_bad_commit(asked(repository, ends[0], ends[1], **more), load.load(), 1, 2, access)
    assert message in str(told.value)


def test_an_end_that_cannot_be_run_ends_the_bisection(
    repository: Repository, access: FakeAccess, completes: Callable[..., FakeComplete]
) -> None:
    completes(failed=frozenset({name(repository.commits[4])}))
    with pytest.raises(InfrastructureError, match="could not be run\n  perf-matrix report"):
        bisect.first_bad_commit(asked(repository, 0, 4), load.load(), 1, 2, access)


@pytest.mark.usefixtures("places")
def test_only_a_bisection_is_gone_on_with() -> None:
    run = store.begin([cell()], ["7.3"], [], 2)
    with pytest.raises(InfrastructureError, match="has no bisection to continue"):
        bisect.resume(run)
