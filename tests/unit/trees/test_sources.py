from __future__ import annotations

import errno
import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix import files
from matrix.errors import InfrastructureError, UsageError
from matrix.trees import sources, tree_archive

if TYPE_CHECKING:
    from matrix.trees.sources import Source

FILES = {"Makefile": b"VERSION = 7\n", "tools/a.sh": b"#!/bin/sh\n", "tools/sub/b.c": b"int b;\n"}


def git(*words: str, at: Path) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *words], cwd=at, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def folder(path: Path) -> Path:
    for name, content in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    (path / "tools/a.sh").chmod(0o755)
    (path / "tools/link").symlink_to("a.sh")
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = folder(tmp_path / "repository")
    git("init", "-q", at=path)
    git("add", "-A", at=path)
    git("commit", "-qm", "one", at=path)
    git("tag", "v1", at=path)
    (path / "Makefile").write_text("VERSION = 8\n")
    git("commit", "-qam", "two", at=path)
    return path


def opened(text: str) -> Source:
    return sources.open_source(text, None, lambda _: None)  # type: ignore[arg-type] # deb: alone needs an engine


def content(source: Source) -> dict[str, tuple[bytes | str, bool]]:
    return {one.path: (one.target or one.read(), one.executable) for one in source.members() if not one.left_out}


def tarred(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload] # a mode that is no literal
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


EXPECTED: dict[str, tuple[bytes | str, bool]] = {
    "Makefile": (b"VERSION = 7\n", False),
    "tools/a.sh": (b"#!/bin/sh\n", True),
    "tools/link": ("a.sh", False),
    "tools/sub/b.c": (b"int b;\n", False),
}


def test_a_folders_files_and_links_are_its_members(tmp_path: Path) -> None:
    path = folder(tmp_path / "tree")
    (path / ".git").mkdir()
    (path / ".git/config").write_text("")
    (path / "tools/here").symlink_to("sub")
    os.mkfifo(path / "tools/pipe")
    source = opened(f"dir:{path}")
    assert content(source) == {**EXPECTED, "tools/here": ("sub", False)}
    assert (source.origin, source.fixed) == (str(path), "")


def test_of_a_checkout_what_is_tracked_or_new_is_taken_and_what_is_ignored_is_not(repository: Path) -> None:
    (repository / ".gitignore").write_text("*.o\n")
    (repository / "tools/new.c").write_text("")
    (repository / "tools/old.o").write_text("")
    (repository / "tools/sub/b.c").unlink()
    assert content(opened(f"dir:{repository}")).keys() == {
        ".gitignore",
        "Makefile",
        "tools/a.sh",
        "tools/link",
        "tools/new.c",
    }


@pytest.mark.parametrize("is_checkout", [False, True])
def test_a_file_that_a_failing_disk_does_not_show_is_not_left_out(
    *, is_checkout: bool, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was left out of a checkout's tree, and of a folder's its user was told that it had changed."""
    path = repository if is_checkout else folder(tmp_path / "tree")
    real = os.lstat, Path.lstat

    def failing(self: Path) -> os.stat_result:
        if self.name == "a.sh":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real[1](self)

    monkeypatch.setattr(Path, "lstat", failing)
    monkeypatch.setattr(os, "lstat", lambda path: failing(Path(path)))
    with pytest.raises(InfrastructureError, match=r"a\.sh cannot be read: Input/output error"):
        content(opened(f"dir:{path}"))


def test_a_link_to_a_checkout_has_the_files_of_the_checkout(repository: Path, tmp_path: Path) -> None:
    (repository / ".gitignore").write_text("*.o\n")
    (repository / "tools/old.o").write_text("")
    (tmp_path / "link").symlink_to(repository)
    members = content(opened(f"dir:{tmp_path / 'link'}"))
    assert members == content(opened(f"dir:{repository}"))
    assert "tools/old.o" not in members


def test_of_a_checkout_that_ignores_every_file_nothing_is_taken(tmp_path: Path) -> None:
    path = folder(tmp_path / "tree")
    git("init", "-q", at=path)
    (path / ".git/info").mkdir(exist_ok=True)
    (path / ".git/info/exclude").write_text("*\n")
    assert content(opened(f"dir:{path}")) == {}


def test_a_folder_that_the_checkout_around_it_ignores_is_taken_whole(repository: Path) -> None:
    (repository / ".gitignore").write_text("/unpacked/\n")
    assert content(opened(f"dir:{folder(repository / 'unpacked')}")) == EXPECTED


def test_a_worktree_whose_repository_is_gone_is_refused(repository: Path, tmp_path: Path) -> None:
    git("worktree", "add", "-q", str(tmp_path / "work"), "v1", at=repository)
    repository.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match=r"git ls-files failed in .*: fatal: not a git repository: .*worktrees/work"):
        content(opened(f"dir:{tmp_path / 'work'}"))


def test_a_scheme_that_there_is_not_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match=r"(?s)no source 'gti:/x'; did you mean 'git'\?.*git:PATH@REV"):
        opened("gti:/x")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        opened(f"dir:{tmp_path / 'nowhere'}")


def test_a_revision_is_what_was_committed(repository: Path) -> None:
    source = opened(f"git:{repository}@v1")
    assert content(source) == EXPECTED
    commit = git("rev-parse", "v1", at=repository)
    assert source.fixed == f"git {commit}"
    assert source.origin == f"{repository}@v1 ({commit[:12]})"


def test_without_a_revision_it_is_the_newest_commit_and_not_the_folder(repository: Path) -> None:
    (repository / "Makefile").write_text("VERSION = 9\n")
    assert content(opened(f"git:{repository}"))["Makefile"] == (b"VERSION = 8\n", False)


def test_a_bare_repository_and_a_worktree_will_do(repository: Path, tmp_path: Path) -> None:
    git("clone", "-q", "--bare", str(repository), str(tmp_path / "bare.git"), at=tmp_path)
    git("worktree", "add", "-q", str(tmp_path / "work"), "v1", at=repository)
    assert content(opened(f"git:{tmp_path / 'bare.git'}@v1")) == EXPECTED
    assert content(opened(f"git:{tmp_path / 'work'}")) == EXPECTED


@pytest.mark.parametrize("revision", ["v9", "", "--all", "v1:Makefile"])
def test_a_revision_that_is_not_there_is_refused(repository: Path, revision: str) -> None:
    with pytest.raises(UsageError, match="there is no revision"):
        opened(f"git:{repository}@{revision}")


def test_a_repository_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no git repository"):
        opened(f"git:{tmp_path}@HEAD")


def test_without_git_that_is_said(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UsageError, match="git could not be run"):
        opened(f"git:{repository}@v1")


def test_a_commit_whose_objects_are_gone_is_refused(repository: Path) -> None:
    blob = git("rev-parse", "v1:tools/sub/b.c", at=repository)
    (repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UsageError):
        content(opened(f"git:{repository}@v1"))


def test_a_commit_that_git_cannot_archive_to_its_end_is_refused(tmp_path: Path) -> None:
    git("init", "-q", at=tmp_path)
    (tmp_path / "big").write_bytes(os.urandom(1 << 16))
    (tmp_path / "gone").write_text("gone")
    git("add", "-A", at=tmp_path)
    git("commit", "-qm", "one", at=tmp_path)
    blob = git("rev-parse", "HEAD:gone", at=tmp_path)
    (tmp_path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UsageError):
        [member.path for member in opened(f"git:{tmp_path}").members()]


def test_the_hash_does_not_depend_on_the_kind_of_source(repository: Path, tmp_path: Path) -> None:
    git("checkout", "-q", "v1", at=repository)
    archive = tmp_path / "linux.tar.gz"
    git("archive", "--format=tar.gz", "--prefix=linux-7/", "-o", str(archive), "v1", at=repository)
    hashes = set()
    for text in (f"git:{repository}@v1", f"dir:{repository}", f"tar:{archive}"):
        with tarfile.open(fileobj=io.BytesIO(), mode="w|") as sink:
            hashes.add(tree_archive.write(opened(text).members(), sink, lambda _: None).sha256)
    assert len(hashes) == 1


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_an_archives_files_are_taken_without_the_folder_that_all_are_in(tmp_path: Path, mode: str) -> None:
    path = tarred(tmp_path / "linux.tar", {f"./linux-7/{name}": data for name, data in FILES.items()}, mode)
    source = opened(f"tar:{path}")
    assert {name: data for name, (data, _) in content(source).items()} == FILES
    assert source.origin == "linux.tar"
    assert source.fixed.startswith("tar ")


def test_an_archive_is_known_by_its_own_digest(tmp_path: Path) -> None:
    one, two = tarred(tmp_path / "1.tar", {"l/a": b"1"}), tarred(tmp_path / "2.tar", {"l/a": b"2"})
    assert opened(f"tar:{one}").fixed != opened(f"tar:{two}").fixed


@pytest.mark.parametrize("name", ["linux/../../etc/passwd", "linux//etc/passwd", "linux/a/../../b"])
def test_an_archive_whose_names_lead_out_of_it_is_refused(tmp_path: Path, name: str) -> None:
    path = tarred(tmp_path / "evil.tar", {"linux/Makefile": b"", name: b"x"})
    with tarfile.open(fileobj=io.BytesIO(), mode="w|") as sink, pytest.raises(UsageError, match="leads out"):
        tree_archive.write(opened(f"tar:{path}").members(), sink, lambda _: None)


def test_a_hard_link_is_not_left_out_unsaid(tmp_path: Path) -> None:
    path = tmp_path / "linux.tar"
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    with tarfile.open(path, "w") as archive:
        archive.add(tmp_path / "a", "linux/a")
        archive.add(tmp_path / "b", "linux/b")
    try:
        found = content(opened(f"tar:{path}"))
    except UsageError:
        return
    assert found.keys() == {"a", "b"}


@pytest.mark.parametrize("data", [b"", b"no tar archive", b"\x1f\x8b\x08 no gzip", b"\xff" * 2048], ids=len)
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "linux.tar"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="no whole tar archive"):
        content(opened(f"tar:{path}"))


BLOCK = 512
WHOLE = {f"linux/{number}": bytes([number]) * (3 * BLOCK) for number in range(8)}


@pytest.mark.parametrize("size", [BLOCK + 100, 4 * BLOCK, 4 * BLOCK + 100, 5 * BLOCK, 9 * BLOCK])
def test_an_archive_that_ends_early_is_refused_wherever_it_ends(tmp_path: Path, size: int) -> None:
    path = tarred(tmp_path / "linux.tar", WHOLE)
    os.truncate(path, size)
    with pytest.raises(UsageError, match="no whole tar archive"):
        content(opened(f"tar:{path}"))


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_packed_archive_that_ends_early_is_refused(tmp_path: Path, mode: str, part: float) -> None:
    path = tarred(tmp_path / "linux.tar", {f"linux/{n}": os.urandom(9000) for n in range(8)}, mode)
    os.truncate(path, int(path.stat().st_size * part))
    with pytest.raises(UsageError, match="no whole tar archive"):
        content(opened(f"tar:{path}"))


def test_an_archive_that_is_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tarred(tmp_path / "linux.tar", WHOLE)
    data = bytearray(path.read_bytes())
    data[4 * BLOCK : 5 * BLOCK] = b"\x55" * BLOCK
    path.write_bytes(data)
    with pytest.raises(UsageError, match="no whole tar archive"):
        content(opened(f"tar:{path}"))


def test_an_archive_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no file"):
        opened(f"tar:{tmp_path / 'nowhere.tar'}")


@pytest.mark.parametrize("rest", ["linux", "linux@", "@sid", "linux@sid;rm", "../linux@sid", "Linux@sid"])
def test_a_package_without_name_or_suite_is_refused(rest: str) -> None:
    with pytest.raises(UsageError, match="no package"):
        opened(f"deb:{rest}")


def test_a_package_that_was_fetched_before_needs_no_engine(places: Path) -> None:
    inner = tarred(
        places / "linux-source-7.3.tar.xz", {f"linux-7/{name}": data for name, data in FILES.items()}, "w:xz"
    )
    outer = places / "cache/downloads/linux-source-7.3@sid.tar"
    outer.parent.mkdir(parents=True)
    with tarfile.open(outer, "w") as archive:
        archive.add(inner, "./linux-source-7.3_7.3-1.tar.xz")
    files.write_sealed(outer.with_name(f"{outer.name}.sha256"), files.sha256(outer).encode())
    source = opened("deb:linux-source-7.3@sid")
    assert {name: data for name, (data, _) in content(source).items()} == FILES
    assert (source.origin, source.fixed) == ("linux-source-7.3_7.3-1 from sid", "deb linux-source-7.3_7.3-1")
