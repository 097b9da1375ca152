"""Fixtures for hostile trees, patches, archives and repositories: each case makes one in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep caches and runs of a test below a folder of its own, and return it."""
    monkeypatch.setenv("PERF_MATRIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PERF_MATRIX_STATE", str(tmp_path / "state"))
    return tmp_path
