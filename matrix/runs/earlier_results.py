"""Takes the results that earlier runs have for the cells of a run, before a process is started for the others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from matrix.engine import images
from matrix.errors import MatrixError
from matrix.runs import cell_run, interrupts, launch, reuse, schedule
from matrix.runs.pytest_run import PytestRun
from matrix.runs.reuse import Surroundings
from matrix.trees import volumes
from matrix.verdicts.wording import count

if TYPE_CHECKING:
    from collections.abc import Collection

    from matrix.config.load import Config
    from matrix.model.cell import Cell
    from matrix.model.cell_id import CellId
    from matrix.model.image import Image
    from matrix.model.result import ImageIdentity
    from matrix.model.tree import Tree
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run
    from matrix.trees.volumes import IdentifiedTree


def take(run: Run, lacking: Collection[CellId], access: EngineAccess, config: Config | None) -> None:
    """Store the results of those lacking cells of a run whose key an earlier result has; a fresh run takes none.

    Where other machines run the cells, each of them looks for itself. A cell whose image is not there, or whose
    transcript would have to be judged again, is left to the processes that run cells: both take seconds.

    Raises:
        UsageError: a tree does not exist.
        InfrastructureError: no engine answers.

    """
    if run.settings().fresh or not lacking or access.way:
        return
    with launch.discarding(run), interrupts.interruptible():
        search = _Search(PytestRun(run, config=config, host=access.host), access)
        # The cells on the base come first: the keys of others have theirs in them.
        found = [cell.id for cell in search.run.cells if cell.id in lacking and search.takes(cell)]
    if found:
        access.say(f"run {run.name}: {count(len(found), 'cell')} reused from earlier runs; --fresh builds anew")


class _Search:
    """The search for earlier results of one run: each image and each tree is looked up once."""

    def __init__(self, run: PytestRun, access: EngineAccess) -> None:
        self.run = run
        self.access = access
        self.engine = run.engine(access.say)
        self.host = self.engine.describe()
        self._images: dict[str, ImageIdentity | None] = {}
        self._trees: dict[str, IdentifiedTree] = {}

    def _image(self, image: Image) -> ImageIdentity | None:
        if image.name not in self._images:
            self._images[image.name] = images.present(image, self.engine)
        return self._images[image.name]

    def _tree(self, tree: Tree) -> IdentifiedTree:
        if tree.name not in self._trees:
            self._trees[tree.name] = volumes.identify(tree, self.engine, self.access.say, self.run.run.pins)
        return self._trees[tree.name]

    def takes(self, cell: Cell) -> bool:
        """Store an earlier result for a cell, if there is one that is the cell's as it is."""
        image = self._image(cell.image)
        if image is None:
            return False
        context = self.run.context(cell)
        begun = cell_run.begun(cell, context, time.gmtime())
        try:
            tree = self._tree(cell.tree)
            found = Surroundings(image, tree.identity, tree.facts, self.host)
            result = reuse.adopted(cell_run.identified(begun, found, context), context, exact=True)
        except (MatrixError, OSError):  # the cell's own process meets it, too, and stores it
            return False
        if result is None or schedule.is_lacking(result):
            return False
        context.run.save(result)
        return True
