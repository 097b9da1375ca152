"""The trees of the cache: an archive and a file of facts for each, named by the tree's content hash."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import StringConstraints

from matrix import files
from matrix.engine import cache
from matrix.engine.cache import Part
from matrix.errors import InfrastructureError, UsageError
from matrix.model.base import Frozen
from matrix.scenario import perf
from matrix.trees import tree_archive
from matrix.trees.facts import TreeFacts, TreeFile
from matrix.trees.tree_archive import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matrix.trees.sources import Say, Source

BLOCK_BYTES = 1 << 20
_DIGEST = re.compile(rb"[0-9a-f]{64}")


class DamagedTreeError(InfrastructureError):
    """The archive of a tree in the cache has changed since it was written; the tree has been removed from the cache."""


class _CachedFacts(Frozen):
    """The JSON file of a tree's facts in the cache; `archive_bytes` and `archive_sha256` are of the tree's archive.

    `remarks` are the lines of `remarks.Remarks`. `index` has each file as a text (`644 DIGEST`): 20,000 of them are
    read in half the time that lists take.
    """

    format: Literal[2] = 2
    archive_bytes: int
    archive_sha256: str
    remarks: list[str]
    sha256: str
    version: str
    index: dict[str, Annotated[str, StringConstraints(pattern=r"^[0-7]+ ")]]
    ignore: dict[str, str]
    generator_has_pool: bool

    @classmethod
    def of(cls, facts: TreeFacts, archive: Path, remarks: Sequence[str]) -> _CachedFacts:
        return cls(
            archive_bytes=archive.stat().st_size,
            archive_sha256=files.sha256(archive),
            remarks=list(remarks),
            sha256=facts.sha256,
            version=facts.version,
            index={path: str(file) for path, file in facts.index.items()},
            ignore=facts.ignore,
            generator_has_pool=facts.generator_has_pool,
        )

    def facts(self) -> TreeFacts:
        """Return the facts of the tree.

        Raises:
            ValueError: an entry of the index has another form than `644 DIGEST`.

        """
        index = {path: TreeFile.parse(text) for path, text in self.index.items()}
        return TreeFacts(self.sha256, self.version, index, self.ignore, self.generator_has_pool)


class _Offsets(Frozen):
    """The file of the offsets in a tree's archive: the tree's content hash, and the places of the files' content."""

    sha256: str
    places: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class TreeCache:
    """The folder of trees: `SHA256.tar` and `SHA256.json` for each, and `SOURCE.source` with a fixed source's hash.

    A file that is damaged, cut short or of another version counts as missing, and is made again.
    """

    folder: Path

    @classmethod
    def of_this_machine(cls) -> TreeCache:
        """Return the folder of trees in the program's cache, made now if it does not exist."""
        return cls(cache.folder(Part.TREES))

    def archive(self, sha256: str) -> Path:
        """Return the path of the archive of the tree with this content hash, which need not exist."""
        return self.folder / f"{sha256}.tar"

    def facts(self, sha256: str) -> TreeFacts | None:
        """Return the facts of a tree whose facts and archive are in the cache, or None; see `blocks` of the archive."""
        cached = self._cached(sha256)
        return cached.facts() if cached else None

    def _cached(self, sha256: str) -> _CachedFacts | None:
        """Return the record of a tree if it is unchanged since it was written and its archive has the size in it."""
        try:
            cached = _CachedFacts.model_validate(files.read_sealed_json(self.folder / f"{sha256}.json"))
            is_whole = self.archive(sha256).stat().st_size == cached.archive_bytes
        except (OSError, ValueError):
            return None
        return cached if is_whole and cached.sha256 == sha256 else None

    def get(self, source: Source, say: Say) -> TreeFacts:
        """Return the facts of a source's tree, read now unless the source is fixed and its tree is in the cache.

        The remarks on the tree are shown to the user in both cases.

        Raises:
            UsageError: the source is no kernel tree.

        """
        cached = self._known(source) or self._read(source, say)
        for remark in cached.remarks:
            say(f"{source.origin}: {remark}")
        return cached.facts()

    def _pointer(self, source: Source) -> Path:
        return (
            self.folder / f"{hashlib.sha256(source.fixed.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.source"
        )

    def _known(self, source: Source) -> _CachedFacts | None:
        sha256 = (files.read_sealed(self._pointer(source)) or b"") if source.fixed else b""
        return self._cached(sha256.decode()) if _DIGEST.fullmatch(sha256) else None

    def _read(self, source: Source, say: Say) -> _CachedFacts:
        """Read a source's tree into an archive of the cache, and return the record of its facts."""
        remarks: list[str] = []
        is_known = source.fixed and self._pointer(source).exists()
        why = ", as the cache's files of it are damaged or of another version" if is_known else ""
        say(f"reading {source.origin}{why}")
        with files.part_of(self._pointer(source)) as part:  # the archive's name is the hash of what is read here
            with tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as archive:
                facts = tree_archive.write(source.members(), archive, remarks.append)
            _check_is_kernel(facts, source.origin)
            cached = _CachedFacts.of(facts, part, remarks)
            part.replace(self.archive(facts.sha256))
        # The archive first, then its facts, then the pointer: each file only names what is there whole.
        # json, as pydantic writes no surrogates, which names that are no UTF-8 have.
        files.write_sealed(self.folder / f"{facts.sha256}.json", json.dumps(cached.model_dump()).encode())
        if source.fixed:
            files.write_sealed(self._pointer(source), facts.sha256.encode())
        return cached

    def blocks(self, sha256: str) -> Iterator[bytes]:
        """Return the content of a tree's archive, in blocks.

        Raises:
            DamagedTreeError: the archive is not the one that was written; it and its facts are removed.

        """
        return _blocks(self.whole_archive(sha256))

    def whole_archive(self, sha256: str) -> Path:
        """Return the path of a tree's archive, after checking its SHA-256.

        Raises:
            DamagedTreeError: the archive has changed since it was written; it and its facts are removed.

        """
        cached = self._cached(sha256)
        archive = self.archive(sha256)
        if cached and files.sha256(archive) == cached.archive_sha256:
            return archive
        for path in (self.folder / f"{sha256}.json", archive):
            path.unlink(missing_ok=True)
        raise DamagedTreeError(f"{archive} is damaged, and was removed", "Do the command again: the tree is read anew.")

    def offsets(self, sha256: str) -> dict[str, tuple[int, int]]:
        """Map each file of a tree to the offset and the size of its content in the archive, in bytes; kept on disk."""
        kept = self.folder / f"{sha256}.offsets.json"
        try:
            return self._kept_offsets(kept, sha256)
        except ValueError:
            found = _Offsets(sha256=sha256, places=_offsets(self.whole_archive(sha256)))
            # json, as pydantic writes no surrogates (see `_read`).
            files.write_sealed(kept, json.dumps(found.model_dump()).encode())
            return found.places

    def _kept_offsets(self, kept: Path, sha256: str) -> dict[str, tuple[int, int]]:
        """Return the offsets that a file of the cache holds.

        Raises:
            ValueError: the file is missing, damaged, or of another tree.

        """
        found = _Offsets.model_validate(files.read_sealed_json(kept))
        if found.sha256 != sha256:
            raise ValueError(f"{kept} is of another tree")
        return found.places

    def content(self, sha256: str, place: tuple[int, int]) -> bytes:
        """Return the content at a place in a tree's archive: an offset and a size that `offsets` gave."""
        offset, size = place
        with self.archive(sha256).open("rb") as file:
            file.seek(offset)
            return file.read(size)


def _blocks(archive: Path) -> Iterator[bytes]:
    with archive.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _offsets(archive: Path) -> dict[str, tuple[int, int]]:
    with tarfile.open(archive, "r:") as opened:
        return {
            member.name.removeprefix(f"{TOP}/"): (member.offset_data, member.size)
            for member in opened
            if member.isreg()
        }


def _check_is_kernel(facts: TreeFacts, origin: str) -> None:
    """Refuse a tree without a kernel's version or without tools/perf: every cell on it would fail."""
    if not facts.version or perf.MAKEFILE not in facts.index:
        raise UsageError(
            f"{origin} is no kernel tree: it has no Makefile with a VERSION or no {perf.MAKEFILE}",
            "Name the top folder of a kernel source tree, or perf's own source package (make perf-tarxz-src-pkg).",
        )
