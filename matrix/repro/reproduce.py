"""The reproduction of a result: a run of its cell on this machine, and the comparison of the two results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.config import load
from matrix.errors import InfrastructureError, UsageError
from matrix.repro import adoption, consistency, self_contained_run
from matrix.runs import cell_shell, completion, interrupts
from matrix.series import apply
from matrix.trees.patches import Patch
from matrix.untrusted import plain
from matrix.verdicts.failing_step import failing_step
from matrix.verdicts.ingredients import compare_ingredients
from matrix.verdicts.reproduction import reproduction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.model.cell import Cell, Limits
    from matrix.model.result import CellResult
    from matrix.model.tree import Tree
    from matrix.repro.original import Original
    from matrix.runs.engine_access import EngineAccess
    from matrix.runs.store import Run
    from matrix.verdicts.ingredients import Ingredient
    from matrix.verdicts.reproduction import Reproduction

WHOLE_BUILD = "build"
"""The step after which a shell is opened where no step failed."""


@dataclass(frozen=True)
class ReproRequest:
    """A request for a reproduction.

    `tree` is a word for the tree, needed where only the sender has the original's; `configs` are the user's own folders
    of configuration; `jobs` are make's parallel jobs, 0 for as many as the original had.
    """

    original: Original
    tree: str = ""
    configs: tuple[Path, ...] = ()
    jobs: int = 0


@dataclass(frozen=True)
class ReproResult:
    """The result of a reproduction: its run, its cell's result `now`, and the comparison of that with the original."""

    run: Run
    now: CellResult
    ingredients: tuple[Ingredient, ...]
    outcome: Reproduction


def reproduce(request: ReproRequest, access: EngineAccess) -> ReproResult:
    """Run the cell of a result again and compare the two results.

    Raises:
        UsageError: the tree, the image or an edit must be given, or a bundle's patch does not apply.
        InfrastructureError: no engine answers, or the cell got no result.

    """
    original = request.original
    folders = [*_own_folders(original), *(str(folder.resolve()) for folder in request.configs)]
    cell, limits = _cell_to_run(original, request.tree, folders)
    if original.patch is not None:
        cell = cell.model_copy(update={"tree": _patched(cell.tree, original.patch, access)})
    run, config = self_contained_run.begin(cell, request.jobs or original.result.jobs, limits, folders)
    access.say(f"run {run.name}: {cell.id}, as in run {plain(original.result.run, lines=False)}")
    # One attempt: an error of this machine is shown at once to whoever waits for the comparison.
    completion.complete(run, 1, access, attempts=1, config=config)
    now = run.result(cell.id)
    if now is None:
        raise InfrastructureError(f"{cell.id} has no result", f"Go on: perf-matrix run --resume {run.name}")
    ingredients = compare_ingredients(original.result, now)
    return ReproResult(run, now, ingredients, reproduction(original.result, now))


def _own_folders(original: Original) -> list[str]:
    """Return the folders of configuration of the original's own run that still exist; none for a stranger's result."""
    if original.own is None:
        return []
    return [folder for folder in original.own.settings().configs if Path(folder).is_dir()]


def _cell_to_run(original: Original, tree: str, folders: Sequence[str]) -> tuple[Cell, Limits]:
    """Return the cell to run and its limits; `tree` is the word of --tree, if any.

    For a result of this machine both are the result's own. For a stranger's, image, tree and edits are this machine's
    of the same names (see adoption).
    """
    result = original.result
    then = consistency.definition(result)
    if original.own and not tree:
        return then, result.limits
    config = load.load([Path(folder) for folder in folders])
    if original.own:
        chosen = adoption.chosen_tree(result, then.tree, config, tree)
        with_delta = chosen.model_copy(update={"delta": then.tree.delta})
        return then.model_copy(update={"tree": with_delta}), result.limits
    cell = adoption.adopted(result, then, config, tree, has_patch=original.patch is not None)
    return cell, adoption.bounded(result.limits)


def _patched(tree: Tree, diff: bytes, access: EngineAccess) -> Tree:
    """Return a tree with a bundle's patch on it, below its edits.

    Raises:
        UsageError: the patch does not apply to the tree.

    """
    unedited = tree.model_copy(update={"edits": ()})
    with interrupts.interruptible():
        access.say(f"applying the bundle's patch to {tree.name}")
        base = apply.below(unedited, tree.source, access.connect(), access.say)
    # A bundle's patch is the sum of a series: it has neither a subject nor an author of its own.
    made, refused = base.scratch.apply(base.commit, [Patch(1, "the patch of the bundle", "", "", "", "", diff)])
    if refused:
        raise UsageError(apply.refusal(base, refused), "Name the tree that the patch was made for with --tree.")
    return base.made(tree.name, tree.summary, made[-1]).model_copy(update={"edits": tree.edits})


def shell_after_failure(found: ReproResult, access: EngineAccess) -> None:
    """Open a shell in the cell in its state after the failed step, or after the build where no step failed."""
    step = failing_step(found.now) or WHOLE_BUILD
    access.say(f"a shell after step {step}")
    cell = consistency.definition(found.now)
    circumstances = cell_shell.Circumstances(found.now.jobs, found.now.limits, found.run.pins)
    cell_shell.shell(cell, step, access, circumstances)
