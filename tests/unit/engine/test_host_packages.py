from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from matrix.engine import host_packages
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an apt-get on PATH that notes its arguments in the file that is returned."""
    program = tmp_path / "apt-get"
    program.write_text(f'#!/bin/sh\necho "$DEBIAN_FRONTEND: $@" >> {tmp_path / "said"}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("PERF_MATRIX_NO_INSTALL", raising=False)
    return tmp_path / "said"


def test_packages_are_installed_saying_so(apt_get: Path) -> None:
    said: list[str] = []
    host_packages.install(["one", "two"], said.append)
    assert said == ["installing one two with apt-get"]
    updated, installed = apt_get.read_text().splitlines()
    assert updated == "noninteractive: -qq update"
    assert installed == "noninteractive: -qq install -y --no-install-recommends one two"


def test_nothing_is_installed_where_that_was_forbidden(apt_get: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERF_MATRIX_NO_INSTALL", "")
    host_packages.forbid()
    with pytest.raises(InfrastructureError, match="one is not installed\n  Install it: apt-get install one"):
        host_packages.install(["one"], print)
    assert not apt_get.exists()


@pytest.mark.parametrize(("name", "value"), [("geteuid", lambda: 1000)])
def test_nothing_is_installed_by_who_is_not_root(
    apt_get: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object
) -> None:
    monkeypatch.setattr(os, name, value)
    with pytest.raises(InfrastructureError, match="is not installed"):
        host_packages.install(["one"], print)
    assert not apt_get.exists()


def test_an_apt_get_that_fails_is_told_in_its_own_words(apt_get: Path) -> None:
    (apt_get.parent / "apt-get").write_text("#!/bin/sh\necho no such package >&2\nexit 100\n")
    with pytest.raises(InfrastructureError, match="apt-get update failed:\nno such package"):
        host_packages.install(["one"], print)
