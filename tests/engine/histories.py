"""A history: a repository with a base that fails a check by itself, and three small commits.

One is harmless, one leaves a file behind after clean, one repairs that. The tree is the fake one; with `-m real` it is
perf's own, 7.3, and the cell a real one.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.config import load, tree_words
from matrix.trees import git, volumes
from matrix.trees.tree_cache import TreeCache
from tests.engine.bench import Bench, Done, edit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.engine.api import Engine

PERF = "tools/perf"
MAKE = f"{PERF}/Makefile.perf"
OLD, NEW = "left:/src/tools/perf/old.out", "left:/src/tools/perf/new.out"


@dataclass(frozen=True)
class History:
    """A repository with a base and three commits, and how its trees are built."""

    bench: Bench
    repository: Path
    commits: tuple[str, ...]
    cell: str
    configs: tuple[str, ...]

    @property
    def where(self) -> tuple[str, ...]:
        return "--repo", str(self.repository)

    @property
    def base(self) -> str:
        return self.commits[0]

    def series(self, *words: str, **more: str) -> Done:
        return self.bench.command("series", *words, *self.configs, "--select", self.cell, **more)

    def tree(self, number: int) -> str:
        return f"git:{self.repository}@{self.commits[number]}"


def leaves(folder: Path, name: str) -> None:
    """Have the build make a file that git ignores and clean forgets."""
    edit(folder / MAKE, "", f"\nall: $(OUTPUT){name}\n$(OUTPUT){name}:\n\t@echo 1 > $@\n")
    edit(folder / PERF / ".gitignore", "", f"\n{name}\n")


def removes(folder: Path, name: str) -> None:
    colons = "::" if "\nclean::" in (folder / MAKE).read_text() else ":"
    rule = f"clean{colons} clean-{name}\n.PHONY: clean-{name}\nclean-{name}:\n\trm -f $(OUTPUT){name}\n"
    edit(folder / MAKE, "", f"\n{rule}")


STEPS: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("base", lambda folder: leaves(folder, "old.out")),
    ("perf tools: Say nothing new", lambda folder: edit(folder / PERF / "util/evsel.c", "", "\n/* nothing new */\n")),
    ("perf build: Leave a file behind", lambda folder: leaves(folder, "new.out")),
    ("perf build: Repair that", lambda folder: removes(folder, "new.out")),
)


def committed(folder: Path) -> tuple[str, ...]:
    git.run(folder, "init", "-q")
    made = []
    for subject, change in STEPS:
        change(folder)
        git.run(folder, "add", "-A", "-f")
        git.run(folder, "commit", "-q", "-m", subject)
        made.append(git.commit(folder, "HEAD"))
    return tuple(made)


def unpacked(folder: Path, engine: Engine) -> None:
    """Put the tree 7.3 into a folder."""
    tree = volumes.prepare(tree_words.tree(load.load(), "7.3"), engine, print)
    with tarfile.open(TreeCache.of_this_machine().archive(tree.identity.sha256)) as archive:
        archive.extractall(folder.parent, filter="data")
    (folder.parent / "tree").rename(folder)
