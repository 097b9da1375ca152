"""The selection of cells among all possible ones: sorted, and the same in every process. Pure.

Each worker of pytest-xdist must collect the same cells in the same order, or xdist stops:
https://pytest-xdist.readthedocs.io/en/stable/known-limitations.html
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix.config import tree_words
from matrix.errors import UsageError, did_you_mean
from matrix.model.cell import Cell, matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from matrix.config.load import Config
    from matrix.model.cell_id import Place
    from matrix.model.profile import Profile
    from matrix.model.tree import Tree

USUAL_TREE = "7.3"
"""The tree of a single cell whose glob names no tree."""

_FORM_OF_GLOBS = "`perf-matrix list` prints the ids; globs are IMAGE/TOOLCHAIN/BUILD@TREE, as debian-*/gcc/static."


@dataclass(frozen=True)
class Selection:
    """The options by which a command selects cells.

    `configs` are the user's own folders of configuration. `trees` and `base` are words of trees (see tree_words);
    `select` and `exclude` are globs over ids. The profile's own trees and globs apply where `trees` or `select` is
    empty. With a `base`, each cell is also run on that tree, to be compared with it.
    """

    configs: tuple[Path, ...] = ()
    trees: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    profile: str = "gate"
    base: str = ""

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of configuration as absolute paths, as a run may be resumed from another folder."""
        return tuple(str(folder.resolve()) for folder in self.configs)

    @property
    def is_empty(self) -> bool:
        """Whether no option but the profile selects cells."""
        return not (self.configs or self.trees or self.select or self.exclude or self.base)


@dataclass(frozen=True)
class SelectedCells:
    """The cells of a selection, sorted by id; `trees` are the words for their trees, `base` the base tree's name."""

    cells: tuple[Cell, ...]
    trees: tuple[str, ...]
    base: str = ""

    @property
    def places(self) -> frozenset[Place]:
        """The places of the cells: cells of one place are compared with each other where there is a base."""
        return frozenset(cell.place for cell in self.cells)


def selected(config: Config, asked: Selection) -> SelectedCells:
    """Return the cells that a selection means, those on its base tree included.

    Raises:
        UsageError: there is no such profile or tree, a glob selects nothing, or the base is the only tree.

    """
    chosen = profile(config, asked.profile)
    words = asked.trees or chosen.trees
    cells = of_profile(config, chosen, words, asked.select, asked.exclude)
    if not asked.base:
        return SelectedCells(cells, tuple(words))
    base = tree_words.tree(config, asked.base)
    if all(cell.tree.name == base.name for cell in cells):
        raise UsageError(f"--base {asked.base} is the tree itself", "Name two trees that differ.")
    on_base = (cell.model_copy(update={"tree": base}) for cell in cells)
    both = {cell.id: cell for cell in (*cells, *on_base)}  # a cell may be selected on the base already
    return SelectedCells(
        cells=tuple(both[cell_id] for cell_id in sorted(both)),
        trees=tuple(dict.fromkeys((asked.base, *words))),
        base=base.name,
    )


def one_cell(config: Config, glob: str, trees: Sequence[str] = ()) -> Cell:
    """Return the only cell that a glob selects, on `trees`, else on the glob's tree, else on USUAL_TREE.

    Raises:
        UsageError: the glob selects no cell, or more than one.

    """
    everything = _every_on(config, trees or (tree_of_glob(glob) or USUAL_TREE,))
    found = _matching(everything, [glob])
    if not found:
        raise UsageError(f"{glob!r} is no cell{did_you_mean(glob, (cell.id for cell in everything))}", _FORM_OF_GLOBS)
    if len(found) > 1:
        raise _several(glob, found)
    return found[0]


def _several(glob: str, found: Sequence[Cell]) -> UsageError:
    """Return the error for a glob that selects more than one cell, with the ids of the first six."""
    ids = ", ".join(cell.id for cell in found[:6])
    return UsageError(f"{glob!r} selects {len(found)} cells", f"Name one of: {ids}, …")


def tree_of_glob(glob: str) -> str:
    """Return the tree's name in a glob over ids, or nothing where the glob has no tree or a pattern for it."""
    name = glob.partition("@")[2]
    return "" if set(name) & set("*?[") else name


def on_trees(config: Config, cells: Iterable[str], words: Iterable[str]) -> tuple[Cell, ...]:
    """Return the cells with these ids, on the trees of `words` (see tree_words)."""
    return select(_every_on(config, words), tuple(cells))


def every(config: Config, trees: Iterable[Tree]) -> tuple[Cell, ...]:
    """Return all possible cells on trees, sorted by id: the image must provide all that the build requires."""
    distinct = {tree.name: tree for tree in trees}.values()  # the user may name a tree twice
    cells = [cell for tree in distinct for cell in _on(tree, config)]
    return tuple(sorted(cells, key=lambda cell: cell.id))


def _every_on(config: Config, words: Iterable[str]) -> tuple[Cell, ...]:
    """Return all possible cells on the trees of words (see tree_words), sorted by id."""
    return every(config, [tree_words.tree(config, word) for word in words])


def _on(tree: Tree, config: Config) -> Iterator[Cell]:
    """Yield the possible cells on one tree."""
    for image, build in itertools.product(config.images.values(), config.builds.values()):
        if set(build.requires) <= set(image.provides):
            for toolchain in image.toolchains:
                yield Cell(image=image, toolchain=toolchain, build=build, tree=tree)


def select(
    cells: Sequence[Cell], globs: Sequence[str], exclude: Sequence[str] = (), option: str = "--select"
) -> tuple[Cell, ...]:
    """Return the cells that a glob of `globs` matches and no glob of `exclude`, in their order.

    Raises:
        UsageError: a glob of `globs` matches no cell; the message names the glob and a similar id.

    """
    _check_each_matches(globs, cells, f"{option} {{!r}} selects no cell", _FORM_OF_GLOBS)
    excluded = {cell.id for cell in _matching(cells, exclude)}
    return tuple(cell for cell in _matching(cells, globs) if cell.id not in excluded)


def _matching(cells: Sequence[Cell], globs: Sequence[str]) -> list[Cell]:
    """Return the cells that at least one glob matches, in their order."""
    return [cell for cell in cells if any(matches(cell.id, glob) for glob in globs)]


def _check_each_matches(globs: Sequence[str], cells: Sequence[Cell], message: str, hint: str) -> None:
    """Refuse a glob that matches no cell: a misspelt one would leave cells out in silence.

    `message` has `{!r}` in the place of the glob.

    Raises:
        UsageError: a glob matches no cell; the message names a similar id.

    """
    for glob in globs:
        if not _matching(cells, [glob]):
            near = did_you_mean(glob, (cell.id for cell in cells))
            raise UsageError(f"{message.format(glob)}{near}", hint)


def of_profile(
    config: Config,
    profile: Profile,
    trees: Sequence[str] = (),
    globs: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[Cell, ...]:
    """Return the cells of a profile, or of `globs` where there are any, on `trees` or else on the profile's own.

    Raises:
        UsageError: a tree does not exist, no cell is selected, or a glob of `exclude` matches no cell.

    """
    everything = _every_on(config, trees or profile.trees)
    _check_each_matches(exclude, everything, "--exclude {!r} leaves out no cell", "`perf-matrix list` prints the ids.")
    # The profile's exclusions are from its own globs: a cell that the user names is meant.
    if globs:
        _check_trees_are_there(config, globs, everything)
        found = select(everything, globs, exclude)
    else:
        found = select(everything, profile.select, (*exclude, *profile.exclude))
    if not found:
        raise UsageError("no cell is left", "Zero cells prove nothing: exclude less.")
    return found


def _check_trees_are_there(config: Config, globs: Sequence[str], cells: Sequence[Cell]) -> None:
    """Refuse a glob that names a tree of the configuration which no cell is on: another option gives the trees.

    Raises:
        UsageError: there is such a glob; the message names the option.

    """
    there = {cell.tree.name for cell in cells}
    for glob in globs:
        name = tree_of_glob(glob)
        if name and name not in there and tree_words.is_tree(config, name):
            on = f"the cells are on {', '.join(sorted(there))}"
            raise UsageError(f"--select {glob!r} selects no cell: {on}", f"Add --tree {name}.")


def profile(config: Config, name: str) -> Profile:
    """Return the profile with this name.

    Raises:
        UsageError: the profile does not exist.

    """
    if name not in config.profiles:
        raise UsageError(f"no profile {name!r}{did_you_mean(name, config.profiles)}")
    return config.profiles[name]
