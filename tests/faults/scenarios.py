"""The scenarios of trials: which command is disturbed, where its trees come from, and how many workers do it."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import lzma
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files
from tests.engine.bench import edit
from tests.engine.test_bad_trees import FORGETS, RELINKS
from tests.faults.recorded import PLACE

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
FAKE = ROOT / "tests" / "data" / "fake"
TREES = {"good": (), "bad": (*RELINKS, *FORGETS)}
"""The trees of a trial, one that passes and one that fails, and the edits of each to the fake tree."""

USUAL = "run"
CELLS = tuple(f"{PLACE}/fake@{tree}" for tree in sorted(TREES))


@dataclass(frozen=True)
class Scenario:
    """A scenario of trials; its weight says how many of a hundred faults are of it.

    Where `interrupts`, the run was interrupted before, in its second cell, and the fault is in the run that goes on.
    """

    weight: int
    source: str = "dir"
    workers: int = 1
    interrupts: bool = False
    command: str = "run"

    @property
    def cells(self) -> tuple[str, ...]:
        """The ids of the cells: that which fails, and that which passes."""
        return SERIES_CELLS if self.command == "series" else CELLS


SERIES_CELLS = (f"{PLACE}/fake@p01", f"{PLACE}/fake@base")

SCENARIOS: dict[str, Scenario] = {
    USUAL: Scenario(55),
    "deb": Scenario(3, source="deb"),
    "resume": Scenario(12, interrupts=True),
    "workers": Scenario(10, workers=2),
    "git": Scenario(6, source="git"),
    "download": Scenario(10, source="tar"),
    "series": Scenario(4, command="series"),
}


def tree(path: Path, name: str) -> None:
    """Make a tree of a trial in a new folder."""
    shutil.copytree(FAKE / "tree", path)
    for place, old, new in TREES[name]:
        edit(path / place, old, new)


@functools.cache
def archive(name: str) -> bytes:
    """Return a tree of a trial as a .tar.gz, which is made once."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=buffer, mode="w:gz") as made:
        tree(Path(folder) / "linux", name)
        made.add(Path(folder) / "linux", "linux")
    return buffer.getvalue()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@functools.cache
def package(name: str) -> bytes:
    """Return what the script of a `deb:` source fetches: an archive of the one in a package, named by its version."""
    return files.tar_of({f"./{name}_1.tar.xz": lzma.compress(gzip.decompress(archive(name)), preset=0)})


def repository(folder: Path) -> Path:
    """Return a repository with a branch for each tree, made in a folder by the first that asks; nobody writes to it."""
    with _REPOSITORY:
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            for name in TREES:
                tree(folder / name, name)
            _git(folder, "init", "-q", "-b", "none", str(folder / "repository"))
            for name in TREES:
                _commit(folder / "repository", folder / name, name)
            patch = _git(folder / "repository", "format-patch", "--stdout", "good..bad")
            (folder / "series.mbx").write_bytes(patch)
            (folder / "made").touch()
    return folder / "repository"


_REPOSITORY = threading.Lock()


def _commit(repository: Path, content: Path, name: str) -> None:
    if name == "bad":
        _git(repository, "checkout", "-q", "-b", name)
    else:
        _git(repository, "checkout", "-q", "--orphan", name)
    shutil.copytree(content, repository, dirs_exist_ok=True)
    _git(repository, "add", "-A")
    _git(repository, "commit", "-q", "-m", f"perf build: {name}")


def _git(folder: Path, *words: str) -> bytes:
    who = {f"GIT_{role}_{what}": "a@b.example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    nobodys = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, **who}
    return subprocess.run(
        ["git", *words], cwd=folder, env={**os.environ, **nobodys}, check=True, capture_output=True
    ).stdout


def sources(scenario: Scenario, folder: Path, address: str) -> Mapping[str, str]:
    """Return the words for the trees' sources, by the name of each: folders, branches, downloads or packages."""
    if scenario.source == "git":
        made = repository(folder.parent / "repository")
        return {name: f"git:{made}@{name}" for name in TREES}
    if scenario.source == "tar":
        return {name: f"tar:{address}/{name}.tar.gz#sha256={_sha256(archive(name))}" for name in TREES}
    if scenario.source == "deb":
        return {name: f"deb:{name}@trixie" for name in TREES}
    for name in TREES:
        tree(folder / "trees" / name, name)
    return {name: f"dir:{folder / 'trees' / name}" for name in TREES}


def words(scenario: Scenario, folder: Path) -> list[str]:
    """Return the words of the command that begins the run of a trial."""
    configs = ["--configs", str(FAKE), "--configs", str(folder / "configs")]
    cells = ["--select", f"{PLACE}/fake", "-n", str(scenario.workers)]
    if scenario.command == "series":
        repository(folder.parent / "repository")
        patches = str(folder.parent / "repository" / "series.mbx")
        return ["series", patches, "--base", "good", *configs, "--each", f"{PLACE}/fake", *cells]
    trees = [word for name in TREES for word in ("--tree", name)]
    return ["run", *configs, *trees, *cells]
