from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from matrix.engine import private_engine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest


def test_a_daemon_is_stopped_saying_so(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = [4711]
    monkeypatch.setattr(private_engine, "_running_pid", lambda: running[0] if running else None)
    monkeypatch.setattr(os, "kill", lambda *_: running.clear())
    said: list[str] = []
    assert private_engine.down(said.append)
    assert not private_engine.down(said.append)
    assert said == ["stopping dockerd (process 4711)"]
    assert places.is_dir()


def test_the_daemon_gets_nothing_of_a_run_or_of_git_from_who_starts_it(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERF_MATRIX_RUNTIME", str(places / "runtime"))
    given: dict[str, str] = {}

    def spawn(_program: str, _argv: list[str], environment: Mapping[str, str], **_: Any) -> int:
        given.update(environment)
        return 1

    monkeypatch.setattr(os, "posix_spawn", spawn)
    monkeypatch.setattr(private_engine, "_answers_in_time", lambda *_: True)
    monkeypatch.setenv("GIT_DIR", "/repository")
    monkeypatch.setenv("PERF_MATRIX_RUN", "/run")
    monkeypatch.setenv("HTTPS_PROXY", "proxy")
    private_engine._start(private_engine.status())
    assert given["HTTPS_PROXY"] == "proxy"
    assert not any(name.startswith(("PERF_MATRIX_", "GIT_")) for name in given)
