"""Outputs of programs and files of containers without an end: git's, a script's, the file that a package holds."""

from __future__ import annotations

import io
import struct
import tarfile
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from matrix import files
from matrix.engine import package_lists
from matrix.engine.backends.docker import engine as docker_engine
from matrix.engine.backends.docker import streams
from matrix.engine.backends.docker.engine import DockerEngine
from matrix.errors import InfrastructureError, UsageError
from matrix.trees import git, git_objects, patches, scratch_repository
from matrix.trees.tree_cache import TreeCache

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def endless_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a git on PATH that prints without an end, to both its outputs."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nhead -c 1000000 /dev/zero >&2\nyes | tr -d '\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(git, "OUTPUT_BYTES", 1 << 20)
    monkeypatch.setattr(git, "TIME_S", 20)


@pytest.mark.usefixtures("endless_git")
def test_a_gits_output_has_a_bound(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"git printed more than 1 MiB: git .* show HEAD:a\n"):
        git.run(tmp_path, "show", "HEAD:a")


@pytest.mark.usefixtures("endless_git")
def test_the_line_before_an_object_has_a_bound(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="git cat-file failed in") as raised:
        list(git_objects.contents(tmp_path, ["1" * 40], 1 << 20, "too large"))
    assert len(str(raised.value)) < 3000


def _container(content: bytes, status: int = 0) -> mock.Mock:
    """Return a container whose script ended with a status, printed `content`, and left an archive with it as a file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("fetched.tar")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    container = mock.Mock()
    container.wait.return_value = {"StatusCode": status}
    container.get_archive.return_value = (iter([buffer.getvalue()]), {})
    blocks = [content[at : at + 100] for at in range(0, len(content), 100)]
    container.printed = [struct.pack(">BxxxL", 1, len(block)) + block for block in blocks]
    return container


def _engine(container: mock.Mock) -> DockerEngine:
    client = mock.Mock()
    client.containers.create.return_value = container
    client.api._get.return_value.raw.stream = lambda _: iter(container.printed)
    return DockerEngine(client, "unix://", "s")


def test_a_file_out_of_a_container_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = _engine(_container(bytes(2000)))
    of.fetch("image", "true", "/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == bytes(2000)
    monkeypatch.setattr(docker_engine, "FETCHED_BYTES", 1999)
    with pytest.raises(InfrastructureError, match="a fetched file has more than"):
        _engine(_container(bytes(2000))).fetch("image", "true", "/a", tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    "archive", [b"x" * 600, b"", tarfile.TarInfo("a").tobuf()[:300]], ids=["noise", "empty", "cut"]
)
def test_an_archive_of_the_engine_that_is_none_is_the_engines_fault(archive: bytes, tmp_path: Path) -> None:
    container = _container(b"")
    container.get_archive.return_value = (iter([archive]), {})
    with pytest.raises(InfrastructureError, match="the engine gives no archive of a file"):
        _engine(container).fetch("image", "true", "/a", tmp_path / "a")


def test_the_output_of_a_script_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    of = _engine(_container(b"gcc 14\n"))
    assert of.script("image", "true", network=False) == (0, b"gcc 14\n")
    monkeypatch.setattr(streams, "LOG_BYTES", 1999)
    with pytest.raises(InfrastructureError, match="a script printed more than"):
        _engine(_container(bytes(2000))).script("image", "true", network=False)


def test_of_a_failed_scripts_output_the_end_is_told(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="the script that makes /a failed") as raised:
        _engine(_container(b"x" * 9000 + b"the end", status=1)).fetch("image", "true", "/a", tmp_path / "a")
    assert raised.value.hint.endswith("the end")
    assert len(raised.value.hint) < 2100


def test_a_number_of_a_hunk_without_an_end_is_no_number() -> None:
    diff = b"diff --git a/a b/a\n@@ -%s +1 @@\n@@ -12 +12 @@\n" % (b"1" * 5000)
    assert patches.Patch(1, "a", "b", "c", "d", "e", diff).hunks() == {"a": [(12, "@@ -12 +12 @@")]}


def test_a_sealed_file_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_sealed(tmp_path / "a", b"abc")
    assert files.read_sealed(tmp_path / "a") == b"abc"
    monkeypatch.setattr(files, "SEALED_BYTES", 50)
    assert files.read_sealed(tmp_path / "a") is None


NESTED = b"[" * 100_000


def test_a_record_of_the_cache_that_nests_is_no_record(tmp_path: Path) -> None:
    digest = "5" * 64
    files.write_sealed(tmp_path / f"{digest}.json", NESTED)
    assert TreeCache(tmp_path).facts(digest) is None


def test_a_list_of_packages_that_nests_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrix.engine.package_lists.cache.folder", lambda _: tmp_path)
    files.write_sealed(tmp_path / "1.package-list", NESTED)
    of = _engine(_container(b"gcc 14\n"))
    assert package_lists.of("t", "sha256:1", of, lambda _: None) == {"gcc": "14"}


def test_a_patch_that_writes_gits_refusal_itself_is_refused(tmp_path: Path) -> None:
    """git shows the lines of a hunk that it cannot apply."""
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "base")):
        git.run(tmp_path, *words)
    line = f"error: patch failed: a:{'1' * 5000}"
    diff = f"diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n {line}\n-b\n+c\n".encode()
    (tmp_path / "a").write_text("x\n")
    git.run(tmp_path, "add", "a")
    git.run(tmp_path, "commit", "-q", "-m", "a")
    scratch = scratch_repository.Scratch(tmp_path / ".git")
    made, refused = scratch.apply(git.commit(tmp_path, "HEAD"), [patches.Patch(1, "a", "b", "c", "d", "e", diff)])
    assert made == ()
    assert refused is not None
    assert refused.reasons == ("a: hunk 1 of 1 (@@ -1,2 +1,2 @@) does not apply",)
