"""Runs git."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from matrix.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MEMORY_BYTES = 2 << 30
OURS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "perf-matrix",
    "GIT_AUTHOR_EMAIL": "perf-matrix",
    "GIT_COMMITTER_NAME": "perf-matrix",
    "GIT_COMMITTER_EMAIL": "perf-matrix",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
"""For a repository of our own: nobody's configuration or hooks, always the same words."""

HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")
"""What git tells its hooks, and the command of `git bisect run`: it would win over the folder that is asked for."""


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the user's environment without what a hook has, or with `env` on top and nothing else that git reads."""
    inherited = {
        key: value for key, value in os.environ.items() if not (key in HOOKS or (env and key.startswith("GIT_")))
    }
    return {**inherited, **(env or {})}


def attempt(
    folder: Path, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder, with the user's environment, or with `env` without what it says to git, and return its end.

    Raises:
        UsageError: there is no git.

    """
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *words],
            input=stdin,
            capture_output=True,
            check=False,
            env=environment(env),
        )
    except OSError as error:
        raise UsageError(f"git could not be run: {error}", "Install git, or use dir: or tar:.") from error


def bounded(folder: Path, *words: str, stdin: bytes, env: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run git as `attempt` does, on what a stranger wrote: it ends where it takes more memory than MEMORY_BYTES."""
    limited = ("-c", 'ulimit -v "$0" && exec git "$@"', str(MEMORY_BYTES >> 10), "-C", str(folder), *words)
    return subprocess.run(["sh", *limited], input=stdin, capture_output=True, check=False, env=environment(env))


def run(folder: Path, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """Run git in a folder and return what it printed.

    Raises:
        UsageError: there is no git, or it failed.

    """
    done = attempt(folder, *words, stdin=stdin, env=env)
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip()
        raise UsageError(f"git {words[0]} failed in {folder}: {message}")
    return done.stdout


def find(folder: Path, revision: str) -> str:
    """Return the full name of the commit that a revision means, or nothing where it means none."""
    done = attempt(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return done.stdout.decode().strip() if done.returncode == 0 else ""


def commit(folder: Path, revision: str) -> str:
    """Return the full name of the commit that a revision means.

    Raises:
        UsageError: there is none, or no repository.

    """
    found = find(folder, revision)
    if found:
        return found
    if attempt(folder, "rev-parse", "--git-dir").returncode:
        raise UsageError(f"{folder} is no git repository", "Name one: --repo PATH, or git:PATH@REV for a tree.")
    raise UsageError(f"there is no revision {revision!r} in {folder}", "`git log` there names what there is.")
