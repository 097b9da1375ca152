"""Takes the results that earlier runs have for the cells of a run, before a process is started for the others."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from matrix.engine import images
from matrix.errors import MatrixError
from matrix.runs import cell_run, interrupts, launch, locks, ownership, reuse, schedule
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
    from matrix.model.result import CellResult, ImageIdentity
    from matrix.model.tree import Tree
    from matrix.runs.cell_run import Context
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run
    from matrix.trees.volumes import IdentifiedTree


def take(run: Run, lacking: Collection[CellId], access: EngineAccess, config: Config | None) -> None:
    """Store the results of those lacking cells of a run whose key an earlier result has; a fresh run takes none.

    None is looked for where other machines run the cells, as their results have other keys, which the room of many
    machines asks for. A cell whose image is not there, or whose transcript would have to be judged again, is left to
    the processes that run cells: both take seconds.

    Raises:
        UsageError: the run is not one of the state folder, or a measurement has the machine.
        InfrastructureError: no engine answers.

    """
    if run.settings().fresh or not lacking or access.way:
        return
    # As launch.run refuses them: nothing of a stranger's run directory is read further, and a measurement is alone.
    ownership.refuse_outside_of_the_state_folder(run)
    locks.refuse_beside_a_measurement()
    with launch.discarding(run), interrupts.interruptible():
        search = _Search(PytestRun(run, config=config, host=access.host), access)
        # The cells on the base come first: the keys of others have theirs in them.
        found = [cell.id for cell in search.run.cells if cell.id in lacking and search.takes(cell)]
    if found:
        access.say(f"run {run.name}: {count(len(found), 'cell')} reused from earlier runs")


class _Search:
    """The search for earlier results of one run: each image and each tree is looked up once."""

    def __init__(self, run: PytestRun, access: EngineAccess) -> None:
        self.run = run
        self.access = access
        self.engine = run.engine(access.say)
        self.host = self.engine.describe()
        self._images: dict[str, ImageIdentity | None] = {}
        self._trees: dict[str, IdentifiedTree | None] = {}

    def _image(self, image: Image) -> ImageIdentity | None:
        if image.name not in self._images:
            self._images[image.name] = images.present(image, self.engine)
        return self._images[image.name]

    def _tree(self, tree: Tree) -> IdentifiedTree | None:
        """Return a tree, or nothing where it cannot be had: the run says so once more, and waits for it only then."""
        if tree.name not in self._trees:
            self._trees[tree.name] = None
            with contextlib.suppress(MatrixError, OSError):
                self._trees[tree.name] = volumes.identify(tree, self.engine, self.access.say, self.run.run.pins)
        return self._trees[tree.name]

    def takes(self, cell: Cell) -> bool:
        """Store an earlier result for a cell, if there is one that is the cell's as it is."""
        image, context = self._image(cell.image), self.run.context(cell)
        if image is None or context.predecessor is not None:
            return False
        tree = self._tree(cell.tree)
        if tree is None:
            return False
        return takes(cell, context, Surroundings(image, tree.identity, self.host))


def takes(cell: Cell, context: Context, found: Surroundings) -> bool:
    """Store the earlier result that a cell has in these surroundings as it is; return whether there is one."""
    if context.predecessor is not None:  # a build that continues another's is in no index
        return False
    try:
        result = _earlier(cell, context, found)
    except (MatrixError, OSError):  # the cell's own process meets it, too, and stores it
        return False
    if result is None or schedule.is_lacking(result):
        return False
    context.run.save(result)
    context.chapter(cell, "")
    return True


def _earlier(cell: Cell, context: Context, found: Surroundings) -> CellResult | None:
    begun = cell_run.begun(cell, context, time.gmtime())
    return reuse.adopted(cell_run.identified(begun, found, context), context, exact=True)
