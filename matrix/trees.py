"""Gets a source tree from where it is and keeps it as one normalised archive, known by its content's hash.

Everything that comes from a tree is untrusted: paths are checked here, once, and nothing is extracted on this
machine; the engine unpacks the archive into a volume.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import secrets
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock

from matrix import edited, paths, scratch, sources, store
from matrix.errors import UsageError
from matrix.result import TreeIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matrix.engines import Engine
    from matrix.model import Tree

PARTS = ("tools/", "scripts/", "arch/", "include/", "lib/", "kernel/bpf/", "net/")
MAX_BYTES = 8 << 30
MAX_FILES = 1_000_000


@dataclass(frozen=True)
class Prepared:
    """A tree that is in the cache and in volumes; `index` maps each path to [mode, digest or link target].

    `volumes` are the layers that make it, the topmost first.
    """

    identity: TreeIdentity
    volumes: tuple[str, ...]
    index: dict[str, list[Any]]
    ignore: dict[str, str]
    generator_has_pool: bool


def wanted(path: str) -> bool:
    """Return whether a path of a kernel tree is one that tools/perf may need: the top's files and PARTS."""
    return "/" not in path or path.startswith(PARTS)


def archive(digest: str) -> Path:
    """Return where the archive of the tree with this content hash is kept."""
    return paths.cache() / "trees" / f"{digest}.tar"


def prepare(tree: Tree, engine: Engine, say: Callable[[str], None], pins: Path | None = None) -> Prepared:
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
                store.write(pin, json.dumps({"sha256": facts["sha256"], "origin": origin}))
        digest = facts["sha256"]
        volume = f"pbm-tree-{digest[:16]}"
        engine.provide(volume, "tree", lambda: _blocks(folder / f"{digest}.tar"))
        layer = _layer(tree, folder, facts) if tree.edits or tree.delta else None
        top = f"pbm-edit-{layer.key}" if layer else ""
        if layer:
            archive = layer.archive
            engine.provide(top, "tree", lambda: iter([archive]))
    identity = TreeIdentity(name=tree.name, source=tree.source, sha256=digest, version=facts["version"], origin=origin)
    base = Prepared(identity, (volume,), facts["index"], facts["ignore"], facts["generator_has_pool"])
    if layer is None:
        return base
    return _with_layer(base, layer, tree, top)


def _layer(tree: Tree, folder: Path, facts: dict[str, Any]) -> edited.Layer:
    delta: dict[str, scratch.File | None] = {}
    if tree.delta:
        if tree.delta.sha256 != facts["sha256"]:
            raise UsageError(f"{tree.source} is no longer what the patches were applied to", "Begin anew.")
        found = scratch.difference(tree.delta)
        delta = {checked(path): file for path, file in found.items() if wanted(path)}
    return edited.layer(folder, facts["sha256"], facts["index"], delta, tree.edits)


def _with_layer(base: Prepared, layer: edited.Layer, tree: Tree, volume: str) -> Prepared:
    index = {path: entry for path, entry in {**base.index, **layer.index}.items() if entry is not None}
    ignore = {**base.ignore, **layer.ignore}
    origin = base.identity.origin
    if tree.delta:
        origin += f", with commit {tree.delta.commit[:12]}"
    if tree.edits:
        origin += f", edited: {', '.join(edit.name for edit in tree.edits)}"
    version = base.identity.version if layer.makefile is None else _version(layer.makefile)
    identity = base.identity.model_copy(update={"sha256": layer.sha256, "origin": origin, "version": version})
    pool = base.generator_has_pool if layer.generator_has_pool is None else layer.generator_has_pool
    return Prepared(identity, (volume, *base.volumes), index, ignore, pool)


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
    store.write(folder / f"{result['sha256']}.json", json.dumps(result))
    if source.fixed:
        store.write(pointer, result["sha256"])
    return result


def write(members: Iterator[sources.Member], archive: tarfile.TarFile) -> dict[str, Any]:
    """Copy the members that are wanted into `archive`, normalised, and return what is to be known of them.

    The hash is over each path, mode and content, sorted by path, so it does not depend on the source's kind.

    Raises:
        UsageError: a path leads out of the tree, or the tree is beyond all bounds.

    """
    index: dict[str, list[Any]] = {}
    ignore: dict[str, str] = {}
    kept: dict[str, bytes] = {}
    folders: set[str] = set()
    size = 0
    edited.folder(archive, "tree", folders)
    for member in members:
        path = checked(member.path)
        if not wanted(path):
            continue
        if (
            path in index
            or any(str(parent) in index for parent in PurePosixPath(path).parents)
            or f"tree/{path}" in folders
        ):
            raise UsageError(
                f"the tree holds a path twice: {path!r}", "A file, a link and a folder cannot share a name."
            )
        size += member.size
        if size > MAX_BYTES or len(index) > MAX_FILES:
            raise UsageError("the tree is larger than any kernel", f"At most {MAX_BYTES} bytes in {MAX_FILES} files.")
        if "/" in path:
            edited.folder(archive, f"tree/{path.rpartition('/')[0]}", folders)
        index[path] = _add(archive, path, member, kept, ignore)
    return {
        "sha256": edited.digest(index),
        "version": _version(kept.get("Makefile", b"").decode(errors="replace")),
        "index": index,
        "ignore": ignore,
        "generator_has_pool": edited.POOL in kept.get(edited.GENERATOR, b""),
    }


def _add(
    archive: tarfile.TarFile,
    path: str,
    member: sources.Member,
    kept: dict[str, bytes],
    ignore: dict[str, str],
) -> list[Any]:
    info = edited.owned(tarfile.TarInfo(f"tree/{path}"))
    if member.target is not None:
        info.type, info.linkname = tarfile.SYMTYPE, member.target
        archive.addfile(info)
        return [0o777, member.target]
    content = member.read()
    info.size, info.mode = len(content), 0o755 if member.executable else 0o644
    archive.addfile(info, io.BytesIO(content))
    if path in ("Makefile", edited.GENERATOR):
        kept[path] = content
    if path.rpartition("/")[2] == ".gitignore":
        ignore[path.rpartition("/")[0]] = content.decode(errors="replace")
    return [info.mode, hashlib.sha256(content).hexdigest()]


def checked(path: str) -> str:
    """Return `path` if it stays inside the tree.

    Raises:
        UsageError: it is absolute, has a `..`, or is no name at all.

    """
    parts = path.split("/")
    if not path or path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"the tree holds a path that leads out of it: {path!r}")
    return path


def _version(makefile: str) -> str:
    words = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=[ \t]*(\S*)$", makefile, re.M))
    numbers = ".".join(words.get(key, "") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return (numbers + words.get("EXTRAVERSION", "")) if words.get("VERSION") else ""


def _check_is_kernel(facts: dict[str, Any], origin: str) -> None:
    if not facts["version"] or "tools/perf/Makefile.perf" not in facts["index"]:
        raise UsageError(
            f"{origin} is no kernel tree: it has no Makefile with a VERSION or no tools/perf/Makefile.perf",
            "Name the top folder of a kernel source tree.",
        )


def _blocks(path: Path) -> Iterator[bytes]:
    file: IO[bytes]
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block
