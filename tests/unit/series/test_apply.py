from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.config import load
from matrix.errors import UsageError
from matrix.series import apply
from matrix.trees import git

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git.run(tmp_path, "init", "-q")
    git.run(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    return tmp_path


def test_a_base_is_a_revision_of_the_repository_or_else_a_tree(repository: Path) -> None:
    loaded = load.load()
    assert apply._tree("7.3", repository, loaded) == apply._tree("7.3", None, loaded) == loaded.trees["7.3"]
    git.run(repository, "tag", "7.3")
    assert apply._tree("7.3", repository, loaded).source == f"git:{repository}@7.3"


def test_a_base_that_is_neither_is_refused(repository: Path) -> None:
    with pytest.raises(UsageError, match="there is no revision"):
        apply._tree("7.9", repository, load.load())
