"""The jobs of contrib/ for real: what GitLab CI, GitHub Actions and b4 do with a history."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from matrix.trees import git
from tests.engine.bench import PATIENCE_S, ROOT, Done
from tests.engine.histories import NEW, History

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine


@pytest.fixture
def shell(history: History, tmp_path: Path) -> Callable[..., Done]:
    """Return what runs a line of shell as a CI job would, with our perf-matrix, the fake cell and no pip."""
    bin_folder = tmp_path / ".perf-matrix" / "venv" / "bin"
    bin_folder.mkdir(parents=True)
    words = {
        "perf-matrix": f'[ "$1" = gate ] && set -- "$@" --select {history.cell}\n'
        f'exec env PYTHONPATH={ROOT} {sys.executable} -m matrix "$@" {shlex.join(history.configs)}',
        "pip": ":",
        "python3": ":",
    }
    for name, line in words.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (bin_folder / name).chmod(0o755)
    (tmp_path / "gate").mkdir()
    git_folder = history.repository / ".perf-matrix"
    git_folder.symlink_to(tmp_path / ".perf-matrix")
    exclude = history.repository / ".git" / "info" / "exclude"
    exclude.write_text(".perf-matrix\ngate\n")

    def run(line: str, stdin: str = "", **more: str) -> Done:
        path = f"{bin_folder}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-euc", line], cwd=history.repository, input=stdin, capture_output=True, text=True, check=False,
            env=history.bench.environment(PATH=path, **more), timeout=PATIENCE_S,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def gone(history: History) -> None:
    (history.repository / ".perf-matrix").unlink(missing_ok=True)
    shutil.rmtree(history.repository / "gate", ignore_errors=True)


def test_the_job_for_gitlab_ci_does_what_it_says(history: History, shell: Callable[..., Done]) -> None:
    job = yaml.safe_load((ROOT / "contrib" / "gitlab-ci.yml").read_text())["perf-build-gate"]
    variables = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": history.base, "CI_COMMIT_SHA": history.commits[2]}
    done = shell("\n".join(job["script"]), PERF_BUILD_MATRIX="x", **variables)
    report = history.repository / job["artifacts"]["reports"]["junit"]
    assert done.status == 1, done.text
    assert NEW in report.read_text()
    gone(history)


def test_the_workflow_for_github_does_what_it_says(
    history: History, shell: Callable[..., Done], tmp_path: Path
) -> None:
    steps = yaml.safe_load((ROOT / "contrib" / "github-actions.yml").read_text())["jobs"]["gate"]["steps"]
    summary = tmp_path / "summary.md"
    variables = {"BASE": history.base, "HEAD": history.commits[1], "PERF_BUILD_MATRIX": "x"}
    lines = [step["run"] for step in steps if "run" in step]
    done = shell("\n".join(lines), GITHUB_STEP_SUMMARY=str(summary), **variables)
    assert done.status == 0, done.text
    assert summary.read_text().startswith("## PASS")
    gone(history)


def test_b4_has_each_patch_checked_on_its_own_parent(history: History, shell: Callable[..., Done]) -> None:
    settings = git.run(history.repository, "config", "--list", "--file", str(ROOT / "contrib" / "b4-config")).decode()
    assert settings.splitlines() == ["b4.prep-perpatch-check-cmd=b4-check"]
    check = str(ROOT / "contrib" / "b4-check")
    for number, status in ((1, 0), (2, 1)):
        patch = git.run(history.repository, "format-patch", "--stdout", "-1", history.commits[number]).decode()
        done = shell(check, stdin=patch, PERF_MATRIX_CELL=history.cell)
        assert done.status == status, done.text
    gone(history)


def test_nothing_is_left_in_the_engine(history: History, engine: Engine) -> None:
    assert history.bench.left(engine) == []
