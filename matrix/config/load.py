"""Reads configs/ and containers/: every file of a folder is one image, build, tree, edit, claim or profile."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files
from matrix.config import documents, references, strict_yaml
from matrix.errors import UsageError
from matrix.model.base import Frozen
from matrix.model.build import Build
from matrix.model.claim import Claim
from matrix.model.edit import Edit
from matrix.model.image import Image
from matrix.model.known_failure import KnownFailure
from matrix.model.profile import Profile
from matrix.model.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matrix.config.documents import Kind

IMAGES = "containers"
FOLDERS = ("builds", "claims", "edits", "profiles", "trees")
KNOWN_FAILURES = "known-failures.yaml"


class _KnownFailures(Frozen):
    """The content of known-failures.yaml."""

    failures: tuple[KnownFailure, ...] = ()


@dataclass(frozen=True)
class Config:
    """The configuration: images, builds, trees, edits, claims and profiles by name, and the known failures."""

    images: dict[str, Image]
    builds: dict[str, Build]
    trees: dict[str, Tree]
    edits: dict[str, Edit]
    claims: dict[str, Claim]
    profiles: dict[str, Profile]
    known: tuple[KnownFailure, ...]


@dataclass(frozen=True)
class _Root:
    """A folder of configuration: the product's, or one of the user's (`--configs DIR`)."""

    path: Path

    @property
    def configs(self) -> Path:
        """The folder that holds `builds`, `trees` and so on: `configs`, or the root where that does not exist."""
        configs = self.path / "configs"
        return configs if configs.is_dir() else self.path

    @property
    def known_failures(self) -> Path:
        """The path of the file of known failures, which need not exist."""
        return self.configs / KNOWN_FAILURES

    def folder(self, name: str) -> Path:
        """Return the path of the folder of one kind of documents, which need not exist."""
        return self.path / IMAGES if name == IMAGES else self.configs / name


def resources() -> Path:
    """Return the folder that holds configs/ and containers/: the checkout, or the installed package's data."""
    # A wheel has them as package data below matrix/data (see pyproject.toml), a checkout beside matrix/.
    here = Path(__file__).resolve().parents[1]
    return here.parent if (here.parent / "configs").is_dir() else here / "data"


def cell_tests() -> Path:
    """Return the folder of the pytest module that runs cells: tests/cells, or `cells` in a package's data."""
    root = resources()
    return root / "cells" if (root / "cells").is_dir() else root / "tests" / "cells"


def load(extra: Sequence[Path] = ()) -> Config:
    """Return the configuration of the product's folders and the user's (`--configs DIR`); later ones replace documents.

    Raises:
        UsageError: there are mistakes; the message has a line for each mistake of each file.

    """
    mistakes = list(itertools.chain.from_iterable(map(_folder_mistakes, extra)))
    config = _read([_Root(path) for path in (resources(), *extra)], mistakes)
    # References last, of all documents together: a user's file may name one of the product's.
    mistakes += references.mistakes(config)
    if mistakes:
        raise UsageError("\n".join(mistakes))
    return config


def write_image(image: Image, folder: Path) -> Path:
    """Write an image's recipe into a user's folder of configuration (`--configs DIR`), and return its file."""
    path = _Root(folder).folder(IMAGES) / f"{image.name}.yaml"
    files.write(path, strict_yaml.text(image).encode())
    return path


def _read(roots: Sequence[_Root], mistakes: list[str]) -> Config:
    def read(kind: type[Kind], name: str) -> dict[str, Kind]:
        return documents.read(kind, [root.folder(name) for root in roots], mistakes)

    return Config(
        images=read(Image, IMAGES),
        builds=read(Build, "builds"),
        trees=read(Tree, "trees"),
        edits=read(Edit, "edits"),
        claims=read(Claim, "claims"),
        profiles=read(Profile, "profiles"),
        known=_known_failures([root.known_failures for root in roots], mistakes),
    )


def _known_failures(paths: Iterable[Path], mistakes: list[str]) -> tuple[KnownFailure, ...]:
    # Entries have no names, so a user's file adds to the product's and replaces nothing.
    entries: tuple[KnownFailure, ...] = ()
    for path in filter(Path.is_file, paths):
        try:
            entries += strict_yaml.parse(_KnownFailures, strict_yaml.read(path), path).failures
        except UsageError as error:
            mistakes.append(str(error))
    return entries


def _folder_mistakes(folder: Path) -> Iterator[str]:
    """Yield a line for a user's folder that does not exist or has no configuration, and for each ignored file in it."""
    if not folder.is_dir():
        yield f"{folder}: no such folder; --configs takes one"
        return
    root = _Root(folder)
    there = list(filter(Path.is_dir, map(root.folder, (IMAGES, *FOLDERS))))
    yield from itertools.chain.from_iterable(map(_misnamed, there))
    if not there and not root.known_failures.is_file():
        names = ", ".join((IMAGES, *FOLDERS))
        yield f"{folder}: holds no configuration; expected folders {names}, or {KNOWN_FAILURES}"


def _misnamed(folder: Path) -> Iterator[str]:
    """Yield a line for each file that would be ignored, as `build.yml`."""
    for path in sorted(folder.iterdir()):
        if path.suffix != ".yaml":
            yield f"{path}: expected a name that ends in .yaml"
