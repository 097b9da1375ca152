"""series, gate and bisect where there is no engine: what is wrong is told first, and is never a commit's fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.trees import git

if TYPE_CHECKING:
    from pathlib import Path

    from tests.replay.conftest import Replay

STOPS_GIT_BISECT = 128


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "linux"
    folder.mkdir()
    git.run(folder, "init", "-q")
    for text in ("one", "two"):
        (folder / "file").write_text(text)
        git.run(folder, "add", ".")
        git.run(folder, "commit", "-q", "-m", text)
    return folder


def test_a_step_that_fails_on_our_side_is_no_bad_commit(replay: Replay) -> None:
    assert replay("bisect-step", "no-such-run").status == STOPS_GIT_BISECT
    assert replay("bisect-step", replay.name).status == STOPS_GIT_BISECT


@pytest.mark.parametrize(("good", "bad"), [("HEAD", "HEAD~1"), ("HEAD", "HEAD")])
def test_revisions_that_are_swapped_or_one_are_told(replay: Replay, repository: Path, good: str, bad: str) -> None:
    words = ("--select", "debian-trixie/gcc/default", "--check", "clean", "--repo", str(repository))
    done = replay("bisect", "--good", good, "--bad", bad, *words)
    assert done.status == 2
    assert f"{bad} does not come after {good}" in done.err


def test_mistakes_are_told_with_what_there_is(replay: Replay, repository: Path, tmp_path: Path) -> None:
    words = ("--good", "HEAD~1", "--bad", "HEAD", "--select", "debian-trixie/gcc/default", "--repo", str(repository))
    assert "did you mean 'clean'" in replay("bisect", *words, "--check", "clen").err
    assert "a series needs patches and --base" in replay("series").err
    assert "a gate needs --base and --head" in replay("gate").err
    (tmp_path / "file").write_text("")
    both = ("--base", "7.3", "--head", "7.2", "--output", str(tmp_path / "file"))
    assert "is no folder" in replay("gate", *both).err
    for command in ("series", "gate"):
        done = replay(command, "--resume", replay.name)
        assert (done.status, f"perf-matrix run --resume {replay.name}" in done.err) == (2, True)
    assert replay("series", "HEAD~1..HEAD", "--base", "nothing", "--repo", str(repository)).status == 3


def test_ends_of_a_range_are_told_as_the_revisions_of_a_bisection_are(replay: Replay, repository: Path) -> None:
    cell = ("--select", "debian-trixie/gcc/default", "--check", "clean")
    for folder, message in ((str(repository), "there is no revision 'nope' in"), ("/nowhere", "is no git repository")):
        where = ("--repo", folder)
        series = replay("series", "HEAD..nope", "--base", "HEAD", *where)
        bisection = replay("bisect", "--good", "HEAD", "--bad", "nope", *cell, *where)
        assert (series.status, bisection.status) == (2, 2)
        assert message in series.err
        assert series.err == bisection.err
