"""Gets a source tree from where it is and keeps it as one normalised archive, known by its content's hash.

Everything that comes from a tree is untrusted: paths are checked here, once, and nothing is extracted on this
machine; the engine unpacks the archive into a volume.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tarfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock

from matrix import files, paths
from matrix.errors import UsageError
from matrix.model.result import TreeIdentity
from matrix.scenario import perf
from matrix.trees import layers, scratch_repository, sources
from matrix.trees.tree_archive import checked, kernel_version, wanted, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.engine.api import Engine
    from matrix.model.tree import Tree


@dataclass(frozen=True)
class PreparedTree:
    """A tree that is in the cache and in volumes; `index` maps each path to [mode, digest or link target].

    `volumes` are the layers that make it, the topmost first.
    """

    identity: TreeIdentity
    volumes: tuple[str, ...]
    index: dict[str, list[Any]]
    ignore: dict[str, str]
    generator_has_pool: bool


def prepare(tree: Tree, engine: Engine, say: Callable[[str], None], pins: Path | None = None) -> PreparedTree:
    """Return the tree, got and unpacked into a volume if it was not yet; done once whoever asks.

    The first to ask notes in the folder `pins` what the tree was, and for all that ask after it that is the tree: a
    branch that moves, or a folder that is edited, does not change under a run.

    Raises:
        UsageError: the source does not exist, or is no kernel tree.
        InfrastructureError: it could not be fetched.

    """
    folder = paths.cache() / "trees"
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(tree.source.encode()).hexdigest()[:16]
    with FileLock(folder / f"{key}.lock"):
        name = tree.delta.sha256 if tree.delta else tree.unedited.name
        pin = pins / f"{name}.json" if pins else None
        facts, origin = _pinned(folder, pin)
        if facts is None:
            source = sources.open_source(tree.source, engine, say)
            facts, origin = _archived(folder, source, say), source.origin
            if pin:
                files.write(pin, json.dumps({"sha256": facts["sha256"], "origin": origin}))
        digest = facts["sha256"]
        volume = f"pbm-tree-{digest[:16]}"
        engine.provide(volume, "tree", lambda: _blocks(folder / f"{digest}.tar"))
        layer = _layer(tree, folder, facts) if tree.edits or tree.delta else None
        top = f"pbm-edit-{layer.key}" if layer else ""
        if layer:
            archive = layer.archive
            engine.provide(top, "tree", lambda: iter([archive]))
    identity = TreeIdentity(name=tree.name, source=tree.source, sha256=digest, version=facts["version"], origin=origin)
    base = PreparedTree(identity, (volume,), facts["index"], facts["ignore"], facts["generator_has_pool"])
    if layer is None:
        return base
    return _with_layer(base, layer, tree, top)


def _layer(tree: Tree, folder: Path, facts: dict[str, Any]) -> layers.Layer:
    delta: dict[str, scratch_repository.CommitFile | None] = {}
    if tree.delta:
        if tree.delta.sha256 != facts["sha256"]:
            raise UsageError(f"{tree.source} is no longer what the patches were applied to", "Begin anew.")
        found = scratch_repository.difference(tree.delta)
        delta = {checked(path): file for path, file in found.items() if wanted(path)}
    return layers.layer(folder, facts["sha256"], facts["index"], delta, tree.edits)


def _with_layer(base: PreparedTree, layer: layers.Layer, tree: Tree, volume: str) -> PreparedTree:
    index = {path: entry for path, entry in {**base.index, **layer.index}.items() if entry is not None}
    ignore = {**base.ignore, **layer.ignore}
    origin = base.identity.origin
    if tree.delta:
        origin += f", with commit {tree.delta.commit[:12]}"
    if tree.edits:
        origin += f", edited: {', '.join(edit.name for edit in tree.edits)}"
    version = base.identity.version if layer.makefile is None else kernel_version(layer.makefile)
    identity = base.identity.model_copy(update={"sha256": layer.sha256, "origin": origin, "version": version})
    pool = base.generator_has_pool if layer.generator_has_pool is None else layer.generator_has_pool
    return PreparedTree(identity, (volume, *base.volumes), index, ignore, pool)


def _pinned(folder: Path, pin: Path | None) -> tuple[Any, str]:
    if pin is None or not pin.is_file():
        return None, ""
    noted = json.loads(pin.read_text())
    facts = folder / f"{noted['sha256']}.json"
    if not (facts.is_file() and facts.with_suffix(".tar").is_file()):
        raise UsageError(
            f"the tree that this run began with ({noted['origin']}) is no longer in the cache", "Begin anew."
        )
    return json.loads(facts.read_text()), noted["origin"]


def _archived(folder: Path, source: sources.Source, say: Callable[[str], None]) -> Any:
    """Return the facts of the source's archive, made now unless it was; by the source's own fixed identity."""
    pointer = folder / f"{hashlib.sha256(source.fixed.encode()).hexdigest()[:32]}.source"
    if source.fixed and pointer.is_file():
        facts = folder / f"{pointer.read_text()}.json"
        if facts.is_file() and facts.with_suffix(".tar").is_file():
            return json.loads(facts.read_text())
    say(f"reading {source.origin}")
    part = folder / f"{pointer.stem}.{secrets.token_hex(4)}.part"
    try:
        with part.open("wb") as file, tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            result = write(source.members(), archive)
        _check_is_kernel(result, source.origin)
        part.replace(folder / f"{result['sha256']}.tar")
    finally:
        part.unlink(missing_ok=True)
    files.write(folder / f"{result['sha256']}.json", json.dumps(result))
    if source.fixed:
        files.write(pointer, result["sha256"])
    return result


def _check_is_kernel(facts: dict[str, Any], origin: str) -> None:
    if not facts["version"] or perf.MAKEFILE not in facts["index"]:
        raise UsageError(
            f"{origin} is no kernel tree: it has no Makefile with a VERSION or no {perf.MAKEFILE}",
            "Name the top folder of a kernel source tree.",
        )


def _blocks(path: Path) -> Iterator[bytes]:
    file: IO[bytes]
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block
