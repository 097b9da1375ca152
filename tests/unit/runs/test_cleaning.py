from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from matrix.engine import cache
from matrix.errors import UsageError
from matrix.runs import cleaning, locks, store
from tests.unit import conftest as make

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

    from matrix.engine.api import Resource

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the temporary folder of a test, in which no killed process of this machine has left anything."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def a_run() -> contextlib.AbstractContextManager[None]:
    return locks.doing(store.begin([make.cell()], ["7.3"], [], 1))


@pytest.mark.parametrize("work", [a_run, locks.busy, locks.measuring])
def test_caches_are_not_removed_beside_work_that_needs_them(
    work: Callable[[], contextlib.AbstractContextManager[object]],
) -> None:
    with work(), pytest.raises(UsageError, match=r"which needs the caches\n  Wait until it has ended; without --all"):
        cleaning.refuse_beside_work()
    cleaning.refuse_beside_work()


class NoEngine:
    """An engine that has nothing of ours."""

    def resources(self) -> list[Resource]:
        return []


def test_a_file_of_the_caches_is_listed_with_its_size() -> None:
    (cache.folder(cache.Part.DOWNLOADS) / "a.tar").write_bytes(b"12345")
    [found] = cleaning.removable(NoEngine(), caches=True)  # type: ignore[arg-type] # all that is asked of it
    assert (found.kind, found.size_bytes) == (cleaning.FILE, 5)
    assert cleaning._size_bytes(Path("gone")) is None


def test_the_unfinished_files_of_killed_processes_are_removed() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    run = store.begin([make.cell()], ["7.3"], [], 1)
    name = f".result.json.{int(ended.stdout)}-0a0b0c0d.part"
    left = [run.cell("a/b/c@d") / name, cache.folder(cache.Part.TREES) / name]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    engine: Any = NoEngine()
    found = cleaning.removable(engine, caches=False)
    assert sorted(item.name for item in found) == sorted(map(str, left))
    assert len(cleaning.removable(engine, caches=True)) == len(left)  # each once
    cleaning.remove(found, engine)
    assert not cleaning.removable(engine, caches=True)


def test_the_temporary_folders_of_killed_processes_are_removed(temporary_folder: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = temporary_folder / f"perf-matrix-index.{int(ended.stdout)}-0a0b"
    left.mkdir()
    (left / "index").touch()
    engine: Any = NoEngine()
    found = cleaning.removable(engine, caches=False)
    assert [(item.kind, item.name) for item in found] == [(cleaning.FOLDER, str(left))]
    cleaning.remove(found, engine)
    assert not left.exists()
