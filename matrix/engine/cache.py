"""The cache: folders of files that are kept between runs, their locks, and the engine's volumes and images of it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from filelock import FileLock

from matrix import paths

if TYPE_CHECKING:
    from pathlib import Path

KEPT = ("tree", "agent", "image", "base")
"""Purposes of the engine's volumes and images that are a cache: `clean` removes them only with `--all`."""

_LOCKS = "locks"
_LOCK_SUFFIX = ".lock"


class Part(StrEnum):
    """A folder of the cache."""

    DOWNLOADS = "downloads"
    IMAGES = "images"
    SCRATCH = "scratch"
    TREES = "trees"


def folder(part: Part) -> Path:
    """Return a folder of the cache, made now if it is not there."""
    path = paths.cache() / part
    path.mkdir(parents=True, exist_ok=True)
    return path


def lock(name: str) -> FileLock:
    """Return the lock of a file, volume or image of the cache that is made once, by the process that asks first."""
    locks = paths.cache() / _LOCKS
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{name}{_LOCK_SUFFIX}")


def damage(path: Path) -> str:
    """Return the reason why the content of a file of the cache is made again, for the end of a sentence."""
    return f", as {path} is damaged or of another version" if path.exists() else ""


def files() -> list[Path]:
    """Return the files of the cache: archives of trees and images, downloads, scratch repositories.

    Locks are left out: where one is removed while a process waits for it, a second lock of that name can be held, too.
    """
    found = [path for part in Part for path in (paths.cache() / part).rglob("*")]
    return sorted(path for path in found if path.is_file() and path.suffix != _LOCK_SUFFIX)
