from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from matrix.engine import cache
from matrix.errors import InfrastructureError, UsageError
from matrix.model.tree import Delta
from matrix.trees import git, patches, scratch_repository, tree_archive
from matrix.trees.patches import Patch
from matrix.trees.scratch_repository import CommitFile, Refused
from matrix.trees.sources import Member

if TYPE_CHECKING:
    import io
    from collections.abc import Callable
    from pathlib import Path

LINES = [f"line {number}" for number in range(40)]


@pytest.fixture
def repository(tmp_path: Path, places: Path) -> Path:
    """Return a repository of the user's with one commit."""
    del places
    folder = tmp_path / "theirs"
    folder.mkdir()
    git.run(folder, "init", "-q")
    (folder / "a.c").write_text("".join(f"{line}\n" for line in LINES))
    (folder / "script").write_text("#!/bin/sh\n")
    (folder / "script").chmod(0o755)
    commit(folder, "base")
    return folder


def commit(folder: Path, message: str) -> str:
    git.run(folder, "add", "-A")
    git.run(folder, "commit", "-q", "--allow-empty", "-m", message)
    return git.commit(folder, "HEAD")


def changed(folder: Path, change: Callable[[], object]) -> Patch:
    """Return a change of the user's repository as a patch; it is taken back."""
    change()
    commit(folder, "perf build: Change it")
    (patch,) = patches.read("HEAD~1..HEAD", folder)
    git.run(folder, "reset", "-q", "--hard", "HEAD~1")
    return patch


def line(folder: Path, number: int, text: str) -> Callable[[], object]:
    return lambda: (folder / "a.c").write_text(
        "".join(f"{text if at == number else old}\n" for at, old in enumerate(LINES))
    )


def difference(of: scratch_repository.Scratch, base: str, head: str) -> dict[str, CommitFile | None]:
    return scratch_repository.difference(Delta(repository=str(of.folder), base=base, commit=head, sha256=""))


def test_patches_are_applied_one_after_the_other_and_the_users_repository_is_left_alone(repository: Path) -> None:
    ours, base = scratch_repository.of_repository(repository, "HEAD")
    first, second = (changed(repository, line(repository, at, "new")) for at in (3, 30))
    before = sorted(str(path) for path in repository.rglob("*"))
    made, refused = ours.apply(base, [first, second])
    assert refused is None
    assert sorted(str(path) for path in repository.rglob("*")) == before
    assert ours.changed(base, made[1]) == {"a.c": "M"}
    found = difference(ours, base, made[1])["a.c"]
    assert found is not None
    assert found.content.splitlines()[3] == found.content.splitlines()[30] == b"new"
    assert ours.apply(base, [first, second])[0] == made, "the same patches make the same commits"


def test_a_file_may_come_go_be_a_link_or_executable(repository: Path) -> None:
    def change() -> None:
        (repository / "a.c").unlink()
        (repository / "sub").mkdir()
        (repository / "sub" / "n\u00e9w").write_bytes(b"\0\1binary")
        (repository / "link").symlink_to("script")
        (repository / "script").chmod(0o644)

    ours, base = scratch_repository.of_repository(repository, "HEAD")
    (made,), refused = ours.apply(base, [changed(repository, change)])
    assert refused is None
    assert ours.changed(base, made) == {"a.c": "D", "link": "A", "script": "T", "sub/n\u00e9w": "A"}
    assert difference(ours, base, made) == {
        "a.c": None,
        "link": CommitFile(0o777, b"script", link=True),
        "script": CommitFile(0o644, b"#!/bin/sh\n"),
        "sub/n\u00e9w": CommitFile(0o644, b"\0\1binary"),
    }


def test_nothing_differs_from_itself(repository: Path) -> None:
    ours, base = scratch_repository.of_repository(repository, "HEAD")
    assert difference(ours, base, base) == {}


def test_a_patch_that_does_not_apply_is_told_with_file_and_hunk(repository: Path) -> None:
    def twice() -> None:
        lines = [{2: "new", 30: "new"}.get(at, old) for at, old in enumerate(LINES)]
        (repository / "a.c").write_text("".join(f"{text}\n" for text in lines))

    patch = changed(repository, twice)
    line(repository, 30, "other")()
    ours, base = scratch_repository.of_repository(repository, commit(repository, "in the way"))
    made, refused = ours.apply(base, [patch])
    assert made == ()
    assert refused == Refused(patch, ("a.c: hunk 2 of 2 (@@ -28,7 +28,7 @@) does not apply",))


def test_each_file_that_is_in_the_way_is_told(repository: Path) -> None:
    patch = changed(repository, line(repository, 3, "new"))
    added = changed(repository, lambda: (repository / "b.c").write_text("1\n"))
    ours, base = scratch_repository.of_repository(repository, "HEAD")
    missing, _ = ours.apply(base, [changed(repository, (repository / "a.c").unlink)])
    _, refused = ours.apply(missing[0], [patch])
    assert refused is not None
    assert refused.reasons == ("a.c: does not exist in index",)
    (there,), _ = ours.apply(base, [added])
    _, refused = ours.apply(there, [added])
    assert refused is not None
    assert refused.reasons == ("b.c: already exists in index",)


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", ".git/hooks/post-commit", "tools/../../out"])
def test_a_patch_that_leads_out_of_the_tree_is_refused(repository: Path, path: str) -> None:
    text = f"diff --git a/{path} b/{path}\nnew file mode 100755\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+echo\n"
    ours, base = scratch_repository.of_repository(repository, "HEAD")
    made, refused = ours.apply(base, [Patch(1, "s", "a", "e", "", "", text.encode())])
    assert made == ()
    assert refused is not None
    assert refused.reasons[0]
    assert not (repository.parent / "out").exists()


def test_what_git_says_of_no_file_is_told_whole(repository: Path) -> None:
    ours, base = scratch_repository.of_repository(repository, "HEAD")
    _, refused = ours.apply(base, [Patch(1, "s", "a", "e", "", "", b"nonsense")])
    assert refused is not None
    assert len(refused.reasons) == 1


def test_a_patch_that_unpacks_to_more_than_any_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patch = changed(repository, lambda: (repository / "zeros").write_bytes(bytes(1 << 20)))
    ours, base = scratch_repository.of_repository(repository, "HEAD")
    (made,), _ = ours.apply(base, [patch])
    monkeypatch.setattr(scratch_repository, "MAX_BYTES", 1 << 19)
    with pytest.raises(UsageError, match="larger than any series"):
        difference(ours, base, made)
    monkeypatch.setattr(git, "MEMORY_BYTES", 4 << 20)
    _, refused = ours.apply(base, [patch])
    assert refused is not None


def test_a_submodule_is_refused(repository: Path) -> None:
    words = ("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub")
    base = git.commit(repository, "HEAD")
    git.run(repository, *words)
    git.run(repository, "commit", "-q", "-m", "sub")
    with pytest.raises(UsageError, match="sub is a submodule"):
        scratch_repository.difference(
            Delta(repository=str(repository), base=base, commit=git.commit(repository, "HEAD"), sha256="")
        )


def test_a_line_that_no_hunk_begins_at_is_told_as_a_line() -> None:
    assert scratch_repository._hunk([(1, "@@ -1 +1 @@")], 7) == "line 7"


def archive(tmp_path: Path) -> Path:
    members = [
        Member("Makefile", 2, executable=False, target=None, read=lambda: b"1\n"),
        Member('tools/od"d\\', 1, executable=True, target=None, read=lambda: b"2"),
        Member("tools/link", 0, executable=False, target="x", read=bytes),
    ]
    path = tmp_path / f"{'0' * 64}.tar"
    with path.open("wb") as file, tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as made:
        tree_archive.write(iter(members), made, lambda _: None)
    return path


def test_a_tree_that_came_as_an_archive_is_a_commit_too(tmp_path: Path, places: Path) -> None:
    del places
    path = archive(tmp_path)
    ours, base = scratch_repository.of_archive(path)
    listing = git.run(ours.folder, "ls-tree", "-r", "-z", base).decode().split("\0")
    assert [entry.split("\t")[1] for entry in listing if entry] == ["Makefile", "tools/link", 'tools/od"d\\']
    assert [entry.split()[0] for entry in listing if entry] == ["100644", "120000", "100755"]
    assert scratch_repository.of_archive(path) == (ours, base)
    for file in cache.files():  # what `perf-matrix clean --all` removes
        file.unlink()
    assert scratch_repository.of_archive(path) == (ours, base)


def test_an_archive_that_git_does_not_take_is_the_machines_fault(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del places
    path = archive(tmp_path)
    monkeypatch.setattr(scratch_repository, "_feed", lambda stream, _: stream.write(b"nonsense\n"))
    with pytest.raises(InfrastructureError, match="fast-import"):
        scratch_repository.of_archive(path)


def test_a_whole_archive_goes_through_a_pipe_that_breaks(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del places

    def breaks(stream: io.BufferedWriter, _: object) -> None:
        stream.write(b"nonsense\n")
        raise BrokenPipeError

    monkeypatch.setattr(scratch_repository, "_feed", breaks)
    with pytest.raises(InfrastructureError, match="fast-import"):
        scratch_repository.of_archive(archive(tmp_path))


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("name", ["HEAD", "config", "refs/heads/base", "objects/??/*"])
def test_a_scratch_repository_of_the_cache_that_is_damaged_is_made_again(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path)
    scratch, commit = scratch_repository.of_archive(path)
    damaged = min(scratch.folder.glob(name))
    damaged.chmod(0o644)
    os.truncate(damaged, damaged.stat().st_size // 2)
    again, same = scratch_repository.of_archive(path)
    assert (again.folder, same) == (scratch.folder, commit)
    assert again.read(commit, "Makefile") == "1\n"
