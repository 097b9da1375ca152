from __future__ import annotations

import io
import tarfile

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
