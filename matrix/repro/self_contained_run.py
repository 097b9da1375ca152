"""A run of one cell that is defined in the run's own folder: later changes of the configuration do not change it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from matrix.config import selection, tree_words
from matrix.errors import MatrixError, UsageError
from matrix.runs import own_configs, store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.config.load import Config
    from matrix.model.cell import Cell, Limits
    from matrix.runs.store import Run


def begin(cell: Cell, jobs: int, limits: Limits, folders: Sequence[str]) -> tuple[Run, Config]:
    """Return a new run of a cell, and the configuration with the cell's image, build and tree as the last folder.

    `folders` are the user's own folders of configuration.

    Raises:
        UsageError: the written configuration is not read as the same cell, so that no run is begun.

    """
    # Without `extends`: the build has the extended one's keys already, and its file stands alone.
    cell = cell.model_copy(update={"build": cell.build.model_copy(update={"extends": ""})})
    # The run exists before its configuration, which lies in the run's folder; a failure removes both.
    run = store.begin([cell], [cell.tree.name], folders, jobs, limits)
    try:
        loaded = own_configs.write(run, cell.image, cell.build, cell.tree)
        # Fresh: whoever reproduces a result asks whether it comes again.
        run.reuse_nothing()
        read = selection.every(loaded, [tree_words.tree(loaded, cell.tree.name)])
        # The run would otherwise be of another cell than the one to reproduce.
        if cell not in read:
            raise UsageError(
                f"{cell.id} cannot be written as configuration and read again",
                "A value of it changes on the way through YAML.",
            )
    except MatrixError:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise
    return run, loaded
