"""What is kept between runs: images, trees, downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix import paths

if TYPE_CHECKING:
    from pathlib import Path

KEPT = ("tree", "agent", "image", "base")
"""Purposes of what is a cache: `clean` removes it only with `--all`."""


def files() -> list[Path]:
    """Return the files of the cache: archives of trees and images, downloads, scratch repositories. Locks stay."""
    folders = [paths.cache() / name for name in ("downloads", "images", "scratch", "trees")]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
