from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from matrix import files
from matrix.files import tar_of


def test_an_archive_holds_the_files_that_anyone_may_read() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar_of({"a": b"one", "b/c.py": b""}))) as archive:
        members = archive.getmembers()
        assert [(member.name, member.mode, member.size) for member in members] == [
            ("a", 0o644, 3),
            ("b/c.py", 0o644, 0),
        ]
        content = archive.extractfile("a")
        assert content is not None
        assert content.read() == b"one"


def test_the_same_files_give_the_same_archive() -> None:
    assert tar_of({"a": b"1"}) == tar_of({"a": b"1"})
    with tarfile.open(fileobj=io.BytesIO(tar_of({}))) as empty:
        assert empty.getmembers() == []


@pytest.mark.parametrize("content", ["caf\u00e9\n", b"\0\xff"])
def test_a_file_is_written_whole_in_place_of_the_one_before(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "new" / "file"
    for _ in range(2):
        files.write(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_the_last_lines_of_a_log_are_read_without_the_rest_of_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"a\nb\nc\xff\n")
    assert files.last_lines(log, 2) == ["b", "c\ufffd"]
    with log.open("r+b") as file:
        file.seek(1 << 40)  # a terabyte, sparse
        file.write(b"\nlast\n")
    assert files.last_lines(log, 1) == ["last"]


def test_a_file_that_could_not_be_written_whole_is_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write(path, "before")
    with pytest.raises(UnicodeEncodeError), files.replacing(path) as part:
        part.write_text("half\udce9", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        files.write(path, "\udce9")
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_two_that_write_one_file_do_not_write_into_each_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with files.replacing(path) as one, files.replacing(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"


def test_a_sealed_file_is_read_as_it_was_written_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert files.read_sealed(path) is None
    files.write_sealed(path, b"one\n")
    whole = path.read_bytes()
    assert files.read_sealed(path) == b"one\n"
    for damaged in (b"", whole[:-1], whole + b"x", b"x" + whole, whole.replace(b"n", b"m"), bytes(len(whole))):
        path.write_bytes(damaged)
        assert files.read_sealed(path) is None
    files.write_sealed(path, b"")
    assert files.read_sealed(path) == b""
    assert files.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_a_killed_process_left_unfinished_is_abandoned_and_no_more(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = tmp_path / "folder" / f".file.json.{int(ended.stdout)}-0a0b0c0d.part"
    left.parent.mkdir()
    for name in ("file.json", ".other.part", "part"):
        (tmp_path / "folder" / name).touch()
    left.touch()
    with files.part_of(tmp_path / "folder" / "file.json") as mine:
        mine.touch()
        assert files.abandoned(tmp_path) == [left]


def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which each flush adds the name of what was flushed, and each rename its two names."""
    calls: list[str] = []
    real = Path.replace

    def fsync(descriptor: int) -> None:
        calls.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def replace(self: Path, target: Path) -> Path:
        calls.append(f"{self.name} -> {target.name}")
        return real(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    return calls


def test_a_file_is_on_the_disk_before_it_is_replaced_and_its_name_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss of power left an empty file otherwise, or the one before, or no folder."""
    calls = flushed(monkeypatch)
    files.write(tmp_path / "a" / "b" / "file", "content")
    *folders, part, renamed, folder = calls
    assert folders == [tmp_path.name, "a"]
    assert (renamed, folder) == (f"{part} -> file", "b")
    assert part.startswith(".file.")


def test_what_can_be_made_again_is_not_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = flushed(monkeypatch)
    files.write(tmp_path / "file", "content", flushed=False)
    files.write_sealed(tmp_path / "file", b"content")
    assert [name for name in calls if "->" not in name] == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_file_system_that_flushes_no_folders_is_no_failure_and_a_failing_disk_is(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output") if number == errno.EIO else contextlib.nullcontext():
        files.write(tmp_path / "file", "content")
    assert (tmp_path / "file").read_text() == "content"


def test_a_full_disk_is_told_with_the_file_that_there_was_no_space_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space") as caught, files.part_of(tmp_path / "file.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "file.json")
    with pytest.raises(OSError, match="reset") as other, files.part_of(tmp_path / "file.json"):
        raise OSError(errno.ECONNRESET, "Connection reset by peer")
    assert other.value.filename is None


def test_no_more_of_a_file_is_read_than_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "record"
    path.write_bytes(b"1234")
    assert files.read(path, 4) == b"1234"
    with pytest.raises(ValueError, match="it has more than 3 bytes, the limit on a file that is read whole"):
        files.read(path, 3)
