"""Makes the layer of files that a difference between commits, and then edits, put on top of a tree's archive."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from matrix import files
from matrix.scenario import perf
from matrix.trees import edits
from matrix.trees.scratch_repository import CommitFile
from matrix.trees.tree_archive import Index, add_folder, digest, owned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matrix.model.edit import Edit


@dataclass(frozen=True)
class Layer:
    """What is made of a tree: an archive with the changed files, and what is to be known of them.

    `sha256` is the changed tree's content hash, `key` names the layer itself. `index` has nothing for a path that is
    removed; `generator_has_pool` and `makefile` are None where the generator and the top's Makefile were not changed.
    """

    key: str
    sha256: str
    archive: bytes
    index: dict[str, list[Any] | None]
    ignore: dict[str, str]
    generator_has_pool: bool | None
    makefile: str | None


def layer(
    folder: Path, digest_of_base: str, index: Index, delta: Mapping[str, CommitFile | None], changes: Sequence[Edit]
) -> Layer:
    """Return the layer of files that differ and then of edits on the tree whose archive is in `folder`.

    Raises:
        UsageError: the edits do not fit the tree.

    """
    archive = folder / f"{digest_of_base}.tar"
    offsets = _offsets(archive)

    def read(path: str) -> bytes | None:
        file = delta.get(path)
        return (file.content if file else None) if path in delta else _read(archive, offsets.get(path))

    edited = edits.apply(changes, read)
    files = {**delta, **{path: _file(path, after, index, delta) for path, after in edited.items()}}
    entries = {path: None if file is None else _entry(file) for path, file in files.items()}
    after = {path: entry for path, entry in {**index, **entries}.items() if entry is not None}
    ignore = {
        path.rpartition("/")[0]: (file.content if file else b"").decode(errors="replace")
        for path, file in files.items()
        if path.rpartition("/")[2] == ".gitignore"
    }
    generator, makefile = files.get(perf.GENERATOR), files.get("Makefile")
    pool = perf.has_pool(generator.content) if generator else None
    content = _archive(files)
    key = hashlib.sha256(digest_of_base.encode() + content).hexdigest()[:16]
    top = makefile.content.decode(errors="replace") if makefile else None
    return Layer(key, digest(after), content, entries, ignore, pool, top)


def _file(path: str, content: bytes | None, index: Index, delta: Mapping[str, CommitFile | None]) -> CommitFile | None:
    if content is None:
        return None
    before = delta.get(path)
    return CommitFile(before.mode if before else index[path][0] if path in index else 0o644, content)


def _entry(file: CommitFile) -> list[Any]:
    if file.link:
        return [file.mode, file.content.decode("utf-8", "surrogateescape")]
    return [file.mode, hashlib.sha256(file.content).hexdigest()]


def _archive(files: Mapping[str, CommitFile | None]) -> bytes:
    buffer = io.BytesIO()
    folders: set[str] = set()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        add_folder(archive, "tree", folders)
        for path, file in sorted(files.items()):
            if file is None and any(files.get(str(parent)) for parent in PurePosixPath(path).parents):
                continue  # what was a folder is a file now, which hides all that was in it
            add_folder(archive, f"tree/{path}".rpartition("/")[0], folders)
            info = owned(tarfile.TarInfo(f"tree/{path}"))
            if file is None:
                info.type = tarfile.CHRTYPE  # with numbers 0, 0: overlayfs' whiteout
                archive.addfile(info)
            elif file.link:
                info.type, info.linkname = tarfile.SYMTYPE, file.content.decode("utf-8", "surrogateescape")
                archive.addfile(info)
            else:
                info.size, info.mode = len(file.content), file.mode
                archive.addfile(info, io.BytesIO(file.content))
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
        files.write(kept, json.dumps(found))
    offsets: dict[str, list[int]] = json.loads(kept.read_text())
    return offsets


def _read(archive: Path, place: list[int] | None) -> bytes | None:
    if place is None:
        return None
    with archive.open("rb") as file:
        file.seek(place[0])
        return file.read(place[1])
