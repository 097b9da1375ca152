from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.errors import UsageError
from matrix.trees import differences
from matrix.trees.scratch_repository import CommitFile

if TYPE_CHECKING:
    from pathlib import Path


def test_a_difference_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = differences.path(tmp_path, "c" * 40)
    difference = {"a": CommitFile(0o644, b"\0\xff"), "b": CommitFile(0o777, b"a", link=True), "c": None}
    differences.write(path, difference)
    assert differences.read(path) == difference


@pytest.mark.parametrize("text", ["", "[]", '{"a": {"mode": 1}}'])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "d").write_text(text)
    with pytest.raises(UsageError, match="is no difference of a patch"):
        differences.read(tmp_path / "d")
