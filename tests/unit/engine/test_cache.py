from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.engine import cache
from matrix.engine.cache import Part

if TYPE_CHECKING:
    from pathlib import Path


def test_every_folder_of_the_cache_is_made_and_its_files_are_those_of_the_cache(places: Path) -> None:
    for part in Part:
        (cache.folder(part) / "file").touch()
        (cache.folder(part) / "file.lock").touch()
    with cache.lock("image-x") as lock:
        assert lock.is_locked
    assert cache.files() == sorted(places / "cache" / part / "file" for part in Part)
