from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from matrix.errors import UsageError
from matrix.repro import reproduce
from matrix.runs.engine_access import EngineAccess
from matrix.series import apply
from matrix.trees import git, scratch_repository
from tests.unit import conftest as make
from tests.unit.results import EDIT

DIFF = b"diff --git a/file b/file\n--- a/file\n+++ b/file\n@@ -1 +1 @@\n-%s\n+two\n"


@pytest.fixture
def access(tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch) -> EngineAccess:
    """Return an access to no engine, where each tree is a commit with one file of the line `one`."""
    del places
    folder = tmp_path / "linux"
    folder.mkdir()
    git.run(folder, "init", "-q")
    (folder / "file").write_text("one\n")
    git.run(folder, "add", ".")
    git.run(folder, "commit", "-q", "-m", "one")
    scratch, commit = scratch_repository.of_repository(folder, "HEAD")
    monkeypatch.setattr(EngineAccess, "connect", lambda _: None)
    monkeypatch.setattr(apply, "below", lambda tree, word, *_: apply.PatchBase(word, tree, scratch, commit, "5" * 64))
    return EngineAccess(None, Console(file=io.StringIO()))


def test_a_bundles_patch_is_below_the_edits(access: EngineAccess) -> None:
    tree = make.tree("7.3+slow", edits=(EDIT,))
    found = reproduce._patched(tree, DIFF % b"one", access)
    assert (found.name, found.edits) == (tree.name, (EDIT,))
    assert isinstance(access.console.file, io.StringIO)
    assert access.console.file.getvalue() == "applying the bundle's patch to 7.3+slow\n"
    assert found.delta is not None
    assert git.run(Path(found.delta.repository), "show", f"{found.delta.commit}:file") == b"two\n"


def test_a_bundles_patch_that_does_not_apply_asks_for_another_tree(access: EngineAccess) -> None:
    tree = make.tree(source="dir:/srv/linux")
    with pytest.raises(UsageError, match="patch 1 does not apply to dir:/srv/linux: the patch of the bundle") as told:
        reproduce._patched(tree, DIFF % b"three", access)
    assert str(told.value).endswith("\n  Name the tree that the patch was made for with --tree.")
    assert "--base" not in str(told.value)
