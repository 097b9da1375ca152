"""The volumes of the engine that hold a tree: one for its source, and one more for its patches and edits.

A volume is named by the hash of its content, so each is filled once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock
from pydantic import Field

from matrix import files
from matrix.engine.api import UID
from matrix.errors import UsageError
from matrix.model.base import Frozen
from matrix.model.result import TreeIdentity
from matrix.trees import differences, layers, scratch_repository, sources
from matrix.trees.layers import KEY_DIGITS
from matrix.trees.tree_archive import checked, wanted
from matrix.trees.tree_cache import DamagedTreeError, TreeCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.engine.api import Engine
    from matrix.model.tree import Delta, Tree
    from matrix.trees.facts import TreeFacts
    from matrix.trees.layers import Layer
    from matrix.trees.scratch_repository import CommitFile


_Made = TypeVar("_Made")


@dataclass(frozen=True)
class PreparedTree:
    """A tree in the cache and in volumes; `volumes` are the names of its layers, the topmost first."""

    identity: TreeIdentity
    volumes: tuple[str, ...]
    facts: TreeFacts


@dataclass(frozen=True)
class TreeContent:
    """The content of a tree's source: its hash, the source's name for people, and the archive in the cache."""

    sha256: str
    origin: str
    archive: Path


class _Pin(Frozen):
    """A run's note of a tree's content at the run's begin: its content hash, and its source's name for people."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    origin: str


@dataclass(frozen=True)
class IdentifiedTree:
    """A tree in the cache; `layer` has its patches and edits, if there are any."""

    identity: TreeIdentity
    facts: TreeFacts
    source_sha256: str
    layer: Layer | None


def identify(tree: Tree, engine: Engine, say: Callable[[str], None], pins: Path | None = None) -> IdentifiedTree:
    """Return the tree, fetched unless that was done before, without volumes; see `prepare`.

    Raises:
        UsageError: the source does not exist, or is no kernel tree.
        InfrastructureError: the source could not be fetched.

    """
    with _locked(tree) as cache:
        return _retried(lambda: _identified(tree, cache, engine, say, pins), say)


@contextlib.contextmanager
def _locked(tree: Tree) -> Iterator[TreeCache]:
    """Give the cache of trees; cells of several processes ask for the same tree at once, and one of them reads it."""
    cache = TreeCache.of_this_machine()
    # One lock for each source.
    key = hashlib.sha256(tree.source.encode("utf-8", "surrogateescape")).hexdigest()[:KEY_DIGITS]
    with FileLock(cache.folder / f"{key}.lock"):
        yield cache


def _retried(made: Callable[[], _Made], say: Callable[[str], None]) -> _Made:
    """Return what a function makes of the cache, once more where it found a damaged tree there and removed it."""
    try:
        return made()
    except DamagedTreeError as error:
        say(str(error))
        return made()


def prepare(tree: Tree, engine: Engine, say: Callable[[str], None], pins: Path | None = None) -> PreparedTree:
    """Return the tree, fetched and unpacked into volumes unless that was done before.

    The first call of a run notes the tree's content in the folder `pins`, and later calls use the noted content: a
    branch that moves, or a folder that is edited, does not change during a run.

    Raises:
        UsageError: the source does not exist, or is no kernel tree.
        InfrastructureError: the source could not be fetched.

    """
    with _locked(tree) as cache:
        return _retried(lambda: _prepared(tree, cache, engine, say, pins), say)


def read(tree: Tree, engine: Engine, say: Callable[[str], None], pins: Path) -> TreeContent:
    """Return the content of a tree's source, which is read into the cache and noted by the run, and in no volume.

    Raises:
        UsageError: the source does not exist, or is no kernel tree.
        InfrastructureError: the source could not be fetched.

    """
    with _locked(tree) as cache:
        return _retried(lambda: _read(tree, cache, engine, say, pins), say)


def _read(tree: Tree, cache: TreeCache, engine: Engine, say: Callable[[str], None], pins: Path) -> TreeContent:
    facts, origin = _content(tree, cache, engine, say, pins)
    return TreeContent(facts.sha256, origin, cache.whole_archive(facts.sha256))


def _prepared(
    tree: Tree, cache: TreeCache, engine: Engine, say: Callable[[str], None], pins: Path | None
) -> PreparedTree:
    """Return the tree, in volumes; see `prepare`.

    Raises:
        DamagedTreeError: the tree's archive was damaged. The tree is no longer in the cache, so another call reads it.

    """
    found = _identified(tree, cache, engine, say, pins)
    # The owner is in the name, as it is in the content: another version's volume is another one.
    volume = f"pbm-tree-{UID}-{found.source_sha256[:KEY_DIGITS]}"
    engine.provide(volume, "tree", lambda: cache.blocks(found.source_sha256))
    layer = found.layer
    if layer is None:
        return PreparedTree(found.identity, (volume,), found.facts)
    top = f"pbm-edit-{UID}-{layer.key}"
    engine.provide(top, "tree", lambda: iter([layer.archive]))
    return PreparedTree(found.identity, (top, volume), found.facts)


def _identified(
    tree: Tree, cache: TreeCache, engine: Engine, say: Callable[[str], None], pins: Path | None
) -> IdentifiedTree:
    """Return the tree, in the cache; see `identify`.

    Raises:
        DamagedTreeError: the tree's archive was damaged. The tree is no longer in the cache, so another call reads it.

    """
    facts, origin = _content(tree, cache, engine, say, pins)
    if not (tree.edits or tree.delta):
        return IdentifiedTree(_identity(tree, facts, origin), facts, facts.sha256, None)
    layer = _layer(tree, cache, facts, pins)
    identity = _identity(tree, layer.facts, f"{origin}{_changes(tree)}")
    return IdentifiedTree(identity, layer.facts, facts.sha256, layer)


def _identity(tree: Tree, facts: TreeFacts, origin: str) -> TreeIdentity:
    return TreeIdentity(name=tree.name, source=tree.source, sha256=facts.sha256, version=facts.version, origin=origin)


def _changes(tree: Tree) -> str:
    """Return the changes of a tree to its source for people: `, with commit 0123456789ab, edited: NAME`."""
    commit = f", with commit {tree.delta.commit[:12]}" if tree.delta else ""
    edited = f", edited: {', '.join(edit.name for edit in tree.edits)}" if tree.edits else ""
    return commit + edited


def _content(
    tree: Tree, cache: TreeCache, engine: Engine, say: Callable[[str], None], pins: Path | None
) -> tuple[TreeFacts, str]:
    """Return the facts of a tree's source and the source's name for people: as noted by the run, or read and noted."""
    path = pins / note_name(tree) if pins else None
    pin = _noted(path)
    facts = cache.facts(pin.sha256) if pin else None
    if pin and facts:
        return facts, pin.origin
    source = sources.open_source(tree.source, engine, say)
    facts = cache.get(source, say)
    if pin:
        _check_is_noted(facts, pin, tree.source)
    elif path:
        note(path, facts.sha256, source.origin)
    return facts, source.origin


def note_name(tree: Tree) -> str:
    """Return the name of the file in which a run notes a tree's content."""
    # The trees of a series share one base: its content hash is the name of their note.
    return f"{tree.delta.sha256 if tree.delta else tree.unedited.name}.json"


def note(path: Path, sha256: str, origin: str) -> None:
    """Note the content hash of a tree, and its source's name for people."""
    files.write(path, json.dumps(_Pin(sha256=sha256, origin=origin).model_dump()))


def _check_is_noted(facts: TreeFacts, pin: _Pin, source: str) -> None:
    """Refuse a tree that was read again and has another content hash than the run's note."""
    if pin.sha256 != facts.sha256:
        begun = f"the tree that this run began with ({pin.origin}) is no longer in the cache"
        raise UsageError(f"{begun}, and {source} has changed since", "Begin the run anew.")


def _noted(note: Path | None) -> _Pin | None:
    if note is None or not note.is_file():
        return None
    try:
        return _Pin.model_validate(json.loads(files.read(note)))
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{note} is no note of a tree's content", "The file is damaged: begin the run anew."
        ) from error


def _layer(tree: Tree, cache: TreeCache, facts: TreeFacts, pins: Path | None) -> Layer:
    difference = _difference(tree.delta, facts, tree.source, pins) if tree.delta else {}
    return layers.layer(facts, cache, difference, tree.edits)


def _difference(delta: Delta, facts: TreeFacts, source: str, pins: Path | None) -> dict[str, CommitFile | None]:
    """Return the files that a difference between commits changes, among those that are wanted (None: removed).

    Where another machine sent the difference it is among the run's notes.
    """
    if delta.sha256 != facts.sha256:
        raise UsageError(f"{source} has changed since the patches were applied to it", "Begin a new run.")
    sent = differences.path(pins, delta.commit) if pins else None
    found = differences.read(sent) if sent and sent.is_file() else scratch_repository.difference(delta)
    return {checked(path): file for path, file in found.items() if wanted(path)}
