"""The layer of an edited or patched tree: an archive of the changed files, to lie on top of its source's archive."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from matrix.errors import InfrastructureError
from matrix.trees import edits, facts
from matrix.trees.facts import TreeFacts, TreeFile
from matrix.trees.scratch_repository import CommitFile
from matrix.trees.tree_archive import TreeWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matrix.model.edit import Edit
    from matrix.trees.tree_cache import TreeCache

USUAL_MODE = 0o644
"""The permission bits of a file that an edit adds."""
KEY_DIGITS = 32
"""The number of hex digits of a digest in the name of a volume: 128 bits, of which nobody makes two alike."""


@dataclass(frozen=True)
class Layer:
    """The layer of a changed tree.

    `archive` is a tar archive of the changed files, with whiteouts for removed ones; `facts` are those of the whole
    tree; `key`, 16 hex digits, is the same for the same archive on the same tree.
    """

    key: str
    archive: bytes
    facts: TreeFacts


def layer(below: TreeFacts, cache: TreeCache, delta: Mapping[str, CommitFile | None], changes: Sequence[Edit]) -> Layer:
    """Return the layer of the files `delta` (None: removed) and of the edits `changes`, applied after them.

    `below` are the facts of the tree that lies below, whose archive is in the cache.

    Raises:
        UsageError: an edit does not fit the tree.

    """
    edited = edits.apply(changes, _reader(below, cache, delta))
    changed = {**delta, **{path: _edited_file(path, after, below, delta) for path, after in edited.items()}}
    archive = _archive(changed)
    # By the archive and not by the edits' names: an edit whose file has changed is another layer.
    key = hashlib.sha256(below.sha256.encode() + archive).hexdigest()[:KEY_DIGITS]
    index = {path: None if file is None else _tree_file(file) for path, file in changed.items()}
    return Layer(key, archive, below.with_files(index, _told(changed)))


def _reader(
    below: TreeFacts, cache: TreeCache, delta: Mapping[str, CommitFile | None]
) -> Callable[[str], bytes | None]:
    """Return the function that gives the content of a file of the patched tree by its path, None where it has none."""
    # By offsets, as reading through a tar archive of 290 MB for a few files would take seconds.
    offsets = cache.offsets(below.sha256)

    def read(path: str) -> bytes | None:
        if path in delta:
            file = delta[path]
            return file.content if file else None
        return _verified(below, cache, path, offsets[path]) if path in offsets else None

    return read


def _verified(below: TreeFacts, cache: TreeCache, path: str, place: tuple[int, int]) -> bytes:
    """Return a file's content from the cache.

    Raises:
        DamagedTreeError: the content is another than the tree's; the tree is no longer in the cache then.
        InfrastructureError: it is another, and the archive is whole.

    """
    content = cache.content(below.sha256, place)
    if hashlib.sha256(content).hexdigest() != below.index[path].content:
        cache.whole_archive(below.sha256)
        raise InfrastructureError(f"{path} was not read as it is in the tree's archive", "Is the disk all right?")
    return content


def _edited_file(
    path: str, content: bytes | None, below: TreeFacts, delta: Mapping[str, CommitFile | None]
) -> CommitFile | None:
    """Return a file with its edited content and the mode that it had before; None where the edits removed it."""
    if content is None:
        return None
    before = delta.get(path) or below.index.get(path)
    return CommitFile(before.mode if before else USUAL_MODE, content)


def _tree_file(file: CommitFile) -> TreeFile:
    if file.link:
        return TreeFile(file.mode, file.content.decode("utf-8", "surrogateescape"))
    return TreeFile(file.mode, hashlib.sha256(file.content).hexdigest())


def _told(changed: Mapping[str, CommitFile | None]) -> dict[str, bytes]:
    """Return the content of those changed files that facts are taken from (`facts.is_telling`)."""
    # Facts keep no note of a .gitignore's removal, so a removed one counts as an empty one, which ignores nothing.
    # git reads no .gitignore that is a symbolic link: https://git-scm.com/docs/gitignore#_notes
    files = {path: file for path, file in changed.items() if file and not file.link}
    told = {path: file.content for path, file in files.items() if facts.is_telling(path)}
    removed = {path: b"" for path in changed.keys() - files.keys() if facts.is_ignore_file(path)}
    return {**told, **removed}


def _archive(changed: Mapping[str, CommitFile | None]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        writer = TreeWriter(archive)
        for path, file in sorted(changed.items()):
            if file is None:
                if not _is_below_file(path, changed):
                    writer.whiteout(path)
            elif file.link:
                writer.link(path, file.content.decode("utf-8", "surrogateescape"))
            else:
                writer.file(path, file.mode, file.content)
    return buffer.getvalue()


def _is_below_file(path: str, changed: Mapping[str, CommitFile | None]) -> bool:
    """Return whether a folder above a path has become a file, which hides all that was in the folder."""
    return any(changed.get(str(parent)) for parent in PurePosixPath(path).parents)
