"""The files of a run that its workers may ask for, by their SHA-256: trees, configuration, patches, done cells."""

from __future__ import annotations

import platform
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files
from matrix.machines import identity, packs, supply
from matrix.machines.messages import BLOCK_BYTES, Blob, Given, Needs, Request, SentTree
from matrix.runs.schedule import is_lacking
from matrix.trees import differences, scratch_repository, volumes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.engine.api import Engine
    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId
    from matrix.model.tree import Tree
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run


class EngineOnDemand:
    """An engine that is looked for when it is first used: only Debian's source packages need one to be read."""

    def __init__(self, access: EngineAccess) -> None:
        self._access = access

    def __getattr__(self, name: str) -> object:
        """Return an attribute of the engine."""
        return getattr(self._access.connect(), name)


class Baggage:
    """The files for the workers of a run; `folder` has those that are made for it."""

    def __init__(self, run: Run, jobs: int, folder: Path) -> None:
        self.run = run
        self.folder = folder
        self.program = identity.program()
        self.topic = f"perf-matrix-{secrets.token_hex(8)}"
        self.settings = run.settings().model_copy(update={"jobs": jobs})
        self._paths: dict[str, Path] = {}
        self._trees: dict[str, SentTree] = {}
        self._differences: dict[str, Blob] = {}
        self._configs = self._packed_configs()

    def _packed_configs(self) -> Blob | None:
        if not self.settings.configs:
            return None
        path = self.folder / "configs.json"
        files.write(path, supply.folders_text([Path(folder) for folder in self.settings.configs]), flushed=False)
        return self._add(path)

    def _add(self, path: Path) -> Blob:
        found = packs.blob(path)
        self._paths[found.sha256] = path
        return found

    def add_tree(self, tree: Tree, engine: Engine, access: EngineAccess) -> None:
        """Read a tree, note its content in the run, and have it for workers.

        Raises:
            UsageError: the source does not exist, or is no kernel tree.
            InfrastructureError: the source could not be fetched.

        """
        name = volumes.note_name(tree)
        if name not in self._trees:
            content = volumes.read(tree, engine, access.say, self.run.pins)
            self._trees[name] = SentTree(
                sha256=content.sha256, origin=content.origin, archive=self._add(content.archive)
            )
        if tree.delta and tree.delta.commit not in self._differences:
            path = self.folder / f"{tree.delta.commit}.difference"
            differences.write(path, scratch_repository.difference(tree.delta))
            self._differences[tree.delta.commit] = self._add(path)

    def content_of(self, tree: Tree) -> str:
        """Return the content hash of a tree's source."""
        return self._trees[volumes.note_name(tree)].sha256

    def needs(self, cells: Sequence[Cell]) -> Needs:
        """Return the needs of a group of cells."""
        return Needs(
            architecture=platform.machine(),
            memory_bytes=self.settings.limits.memory_bytes,
            btf=any(cell.build.expect.bpf_skeletons for cell in cells),
        )

    def request(self, cells: Sequence[Cell]) -> Request:
        """Return a new request to run a group of cells, those that are done left out."""
        notes = {volumes.note_name(cell.tree) for cell in cells}
        commits = {cell.tree.delta.commit for cell in cells if cell.tree.delta}
        ids = tuple(cell.id for cell in cells)
        return Request(
            program=self.program,
            token=secrets.token_hex(8),
            topic=self.topic,
            settings=self.settings.model_copy(update={"cells": ids, "shard": None, "fresh": True}),
            configs=self._configs,
            trees={name: self._trees[name] for name in sorted(notes)},
            differences={commit: self._differences[commit] for commit in sorted(commits)},
            needs=self.needs(cells),
            has_given=len(ids) > 1,
        )

    def given(self, request: Request) -> Given:
        """Return the cells of a request that are done by now, packed."""
        done = [cell_id for cell_id in request.settings.cells if not is_lacking(self.run.result(cell_id))]
        return Given(cells={cell_id: self._packed(cell_id) for cell_id in done})

    def _packed(self, cell_id: CellId) -> Blob:
        path = self.folder / f"{secrets.token_hex(8)}.pack"
        packed = packs.pack(self.run, cell_id, path)
        self._paths[packed.sha256] = path
        return packed

    def brought(self, request: Request, given: Given) -> dict[str, bytes]:
        """Return the files that a request and its done cells name, but for the trees, by their SHA-256."""
        blobs = [*([request.configs] if request.configs else []), *request.differences.values(), *given.cells.values()]
        return {blob.sha256: self._paths[blob.sha256].read_bytes() for blob in blobs}

    def trees(self) -> list[SentTree]:
        """Return the trees of the run, each once."""
        return list({tree.sha256: tree for tree in self._trees.values()}.values())

    def block(self, sha256: str, offset: int) -> bytes:
        """Return a piece of a file; nothing at its end, or where the run has no such file for its workers."""
        path = self._paths.get(sha256)
        if path is None:
            return b""
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(BLOCK_BYTES)
