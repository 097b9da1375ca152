"""Makes the layer of files that edits put on top of a tree's archive."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matrix import edits, store
from matrix.engines import UID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matrix.model import Edit

MTIME = 946684800  # 2000-01-01: older than anything a build writes
GENERATOR = "tools/perf/pmu-events/jevents.py"
POOL = b"ProcessPoolExecutor"
Index = dict[str, list[Any]]


@dataclass(frozen=True)
class Layer:
    """What edits make of a tree: an archive with the changed files, and what is to be known of them.

    `sha256` is the edited tree's content hash, `key` names the layer itself. `index` has nothing for a path that is
    removed; `generator_has_pool` is None where the generator was not changed.
    """

    key: str
    sha256: str
    archive: bytes
    index: dict[str, list[Any] | None]
    ignore: dict[str, str]
    generator_has_pool: bool | None


def layer(folder: Path, digest_of_base: str, changes: Sequence[Edit], index: Index) -> Layer:
    """Return the layer of `changes` on the tree whose archive is in `folder`.

    Raises:
        UsageError: the changes do not fit the tree.

    """
    archive = folder / f"{digest_of_base}.tar"
    offsets = _offsets(archive)
    changed = edits.apply(changes, lambda path: _read(archive, offsets.get(path)))
    entries: dict[str, list[Any] | None] = {}
    for path, after_it in changed.items():
        mode = index[path][0] if path in index else 0o644
        entries[path] = None if after_it is None else [mode, hashlib.sha256(after_it).hexdigest()]
    after = {path: entry for path, entry in {**index, **entries}.items() if entry is not None}
    ignore = {
        path.rpartition("/")[0]: (text or b"").decode(errors="replace")
        for path, text in changed.items()
        if path.rpartition("/")[2] == ".gitignore"
    }
    generator = changed.get(GENERATOR)
    pool = None if generator is None else POOL in generator
    content = _archive(changed, entries)
    key = hashlib.sha256(digest_of_base.encode() + content).hexdigest()[:16]
    return Layer(key, digest(after), content, entries, ignore, pool)


def digest(index: Mapping[str, Sequence[Any]]) -> str:
    """Return a tree's content hash: over each path, mode and content, sorted by path."""
    listing = "".join(f"{path}\0{mode}\0{content}\n" for path, (mode, content) in sorted(index.items()))
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def owned(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return an archive's header with the owner and date that everything in a tree has."""
    info.uid = info.gid = UID
    info.mtime = MTIME
    return info


def folder(archive: tarfile.TarFile, path: str, folders: set[str]) -> None:
    """Add a folder and those above it to an archive, unless they are there already."""
    if path in folders:
        return
    if "/" in path:
        folder(archive, path.rpartition("/")[0], folders)
    folders.add(path)
    info = owned(tarfile.TarInfo(path))
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(info)


def _archive(changed: Mapping[str, bytes | None], entries: Mapping[str, list[Any] | None]) -> bytes:
    buffer = io.BytesIO()
    folders: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        folder(archive, "tree", folders)
        for path, content in sorted(changed.items()):
            folder(archive, f"tree/{path}".rpartition("/")[0], folders)
            info = owned(tarfile.TarInfo(f"tree/{path}"))
            entry = entries[path]
            if content is None or entry is None:
                info.type = tarfile.CHRTYPE  # with numbers 0, 0: overlayfs' whiteout
                archive.addfile(info)
            else:
                info.size, info.mode = len(content), entry[0]
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _offsets(archive: Path) -> dict[str, list[int]]:
    """Return where each file's content begins in an uncompressed archive, and its size; found out once."""
    kept = archive.with_suffix(".offsets.json")
    if not kept.is_file():
        with tarfile.open(archive, "r:") as opened:
            found = {
                member.name.removeprefix("tree/"): [member.offset_data, member.size]
                for member in opened
                if member.isreg()
            }
        store.write(kept, json.dumps(found))
    offsets: dict[str, list[int]] = json.loads(kept.read_text())
    return offsets


def _read(archive: Path, place: list[int] | None) -> bytes | None:
    if place is None:
        return None
    with archive.open("rb") as file:
        file.seek(place[0])
        return file.read(place[1])
