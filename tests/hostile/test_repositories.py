"""Repositories and folders that a stranger made: what is no file is said, and bombs are refused with their limit."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from matrix.config import load, tree_words
from matrix.errors import UsageError
from matrix.trees import facts, git, git_objects, sources, tree_archive
from matrix.trees.facts import TreeFile
from matrix.trees.sources import dir as dir_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.trees.facts import TreeFacts

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def run(at: Path, *words: str, stdin: str = "") -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(
        ["git", "-C", str(at), *identity, *words], input=stdin, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def read(text: str, remarks: list[str]) -> TreeFacts:
    source = sources.open_source(text, None, lambda _: None)  # type: ignore[arg-type] # needs no engine
    with tarfile.open(fileobj=io.BytesIO(), mode="w|") as sink:
        return tree_archive.write(source.members(), sink, remarks.append)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "linux"
    (path / "tools").mkdir(parents=True)
    run(path, "init", "-q", "--template=")
    (path / "tools/a").write_text("a")
    run(path, "add", "-A")
    run(path, "commit", "-qm", "1")
    return path


def with_submodule(path: Path) -> None:
    run(path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},tools/sub")
    (path / "tools/sub").mkdir()


def with_repository_inside(path: Path) -> None:
    (path / "tools/sub").mkdir()
    run(path / "tools/sub", "init", "-q", "--template=")
    (path / "tools/sub/file").write_text("")
    run(path / "tools/sub", "add", "-A")
    run(path / "tools/sub", "commit", "-qm", "1")
    run(path, "add", "-A")


def with_pointer(path: Path) -> None:
    (path / "tools/big").write_text(LFS)
    run(path, "add", "-A")


def with_link_out(path: Path) -> None:
    (path / "tools/passwd").symlink_to("/etc/passwd")
    (path / "tools/up").symlink_to("../..")
    run(path, "add", "-A")


SAID: dict[str, tuple[Callable[[Path], None], str]] = {
    "a submodule": (with_submodule, "a submodule is left out of the tree: tools/sub"),
    "a repository inside": (with_repository_inside, "a submodule is left out of the tree: tools/sub"),
    "a pointer": (with_pointer, "a file is a pointer of Git LFS, not the content that it stands for: tools/big"),
    "links": (with_link_out, "a symbolic link leads out of the tree, to the image's files: tools/passwd, tools/up"),
}


@pytest.mark.parametrize("scheme", ["git", "dir"])
@pytest.mark.parametrize("case", SAID)
def test_a_tree_that_is_not_all_that_it_seems_is_read_and_that_is_said(
    case: str, scheme: str, repository: Path
) -> None:
    make, remark = SAID[case]
    make(repository)
    run(repository, "commit", "-qm", "2")
    said: list[str] = []
    assert "tools/a" in read(f"{scheme}:{repository}", said).index
    assert said == [remark]


def test_pipes_sockets_and_devices_of_a_folder_are_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/a").write_text("a")
    os.mkfifo(tmp_path / "net/pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "net/socket"))
        said: list[str] = []
        assert read(f"dir:{tmp_path}", said).index.keys() == {"net/a"}
    assert sorted(said) == [
        "a pipe is left out of the tree: net/pipe",
        "a socket is left out of the tree: net/socket",
    ]


def test_a_commit_whose_folders_hold_each_other_tenfold_is_refused(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob = run(repository, "hash-object", "-w", "--stdin", stdin="x")
    tree = run(repository, "mktree", stdin="".join(f"100644 blob {blob}\tf{n}\n" for n in range(10)))
    for _ in range(9):  # a billion files in eleven objects
        tree = run(repository, "mktree", stdin="".join(f"040000 tree {tree}\td{n}\n" for n in range(10)))
    commit = run(repository, "commit-tree", tree, "-m", "bomb")
    monkeypatch.setattr(git_objects, "LISTING_BYTES", 4 << 20)
    with pytest.raises(UsageError, match="larger than any kernel"):
        read(f"git:{repository}@{commit}", [])


def test_a_commit_with_a_file_that_is_too_large_is_refused_before_it_is_read(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_objects, "OBJECT_BYTES", 1000)
    (repository / "tools/big").write_text("0" * 1001)
    run(repository, "add", "-A")
    run(repository, "commit", "-qm", "2")
    with pytest.raises(UsageError, match="larger than any kernel"):
        read(f"git:{repository}", [])


def test_a_folder_of_a_hundred_folders_inside_each_other_is_refused(tmp_path: Path) -> None:
    (tmp_path / ("d/" * 100)).mkdir(parents=True)
    with pytest.raises(UsageError, match="more than 64 folders inside each other"):
        read(f"dir:{tmp_path}", [])


def test_a_file_with_a_hole_of_a_terabyte_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/a").touch()
    os.truncate(tmp_path / "net/a", 1 << 40)
    with pytest.raises(UsageError, match="has 1099511627776 bytes"):
        read(f"dir:{tmp_path}", [])


def test_a_file_that_grows_while_it_is_read_is_not_read_for_ever(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("more than was told")
    with pytest.raises(UsageError, match="changed while it was read"):
        dir_source._content(tmp_path / "a", 4)
    with pytest.raises(UsageError, match="changed while it was read"):
        dir_source._member("gone", tmp_path / "gone")


def test_a_folder_that_cannot_be_read_is_not_left_out_in_silence(tmp_path: Path) -> None:
    (tmp_path / "net").touch()
    with pytest.raises(UsageError, match="net cannot be read: Not a directory"):
        dir_source._entries(tmp_path / "net")


def test_git_that_takes_too_long_is_ended(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "TIME_S", 0.2)
    with pytest.raises(UsageError, match=r"git did not end within 0\.2 s"):
        git.run(repository, "-c", "alias.slow=!sleep 60", "slow")


def index(path: str, target: str) -> dict[str, TreeFile]:
    return {path: TreeFile(0o777, target)}


def test_no_two_trees_have_one_content_hash() -> None:
    file = "0" * 64
    forged = index("a", f"x\nb\0{0o644}\0{file}")
    assert facts.digest(forged) != facts.digest({**index("a", "x"), "b": TreeFile(0o644, file)})
    assert facts.digest(index("a", "b\0c")) != facts.digest(index("a\0b", "c"))


@pytest.mark.parametrize("word", ["tar:https://user:secret@example.org/x.tar", "tar:https://a.org/x?token=secret"])
def test_credentials_of_an_address_get_into_no_result(word: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="credentials in an address") as first:
        tree_words.tree(load.load(), word)
    (tmp_path / "trees").mkdir()
    (tmp_path / "trees/x.yaml").write_text(f"source: {word}\n")
    with pytest.raises(UsageError, match="tree x: key 'source': credentials in an address") as second:
        load.load([tmp_path])
    assert "secret" not in f"{first.value}{second.value}"


def test_credentials_of_a_remote_get_into_no_message(tmp_path: Path) -> None:
    said = b"fatal: could not fetch from promisor remote https://user:secret@example.org/linux.git?token=secret"
    message = str(git._failure(tmp_path, ("cat-file",), said))
    assert "https://…@example.org/linux.git?…" in message
    assert "secret" not in message
