"""Selects cells among all that there can be: sorted, the same in every process. Pure."""

from __future__ import annotations

import itertools
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrix import registry
from matrix.config import edits
from matrix.errors import UsageError, did_you_mean
from matrix.model.cell import Cell, Limits, matches
from matrix.model.globs import matches_any
from matrix.model.tree import Tree, name_of_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from matrix.config.load import Config
    from matrix.model.cell_id import Place
    from matrix.model.edit import Edit
    from matrix.model.profile import Profile

SCHEMES = registry.names("matrix.trees.sources")
"""The schemes of sources. The room of trees is above this one, so only the names of its files are read."""
USUAL_TREE = "7.3"


@dataclass(frozen=True)
class Selection:
    """The cells that a command is about, in the words of its options.

    `configs` are the user's own folders of configuration. `trees` and `base` are words that `tree` knows, `select` and
    `exclude` globs over ids; `profile` decides where `trees` or `select` is empty. Each cell is also run on the `base`
    tree, if there is one, to be compared with it.
    """

    configs: tuple[Path, ...] = ()
    trees: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    profile: str = "gate"
    base: str = ""

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of configuration, absolute, as a run's settings keep them."""
        return tuple(str(folder.resolve()) for folder in self.configs)

    @property
    def is_empty(self) -> bool:
        """Whether no option but a profile says which cells are meant."""
        return not (self.configs or self.trees or self.select or self.exclude or self.base)


@dataclass(frozen=True)
class SelectedCells:
    """The cells of a selection, sorted by id; `trees` are the words for their trees, `base` is the base tree's name."""

    cells: tuple[Cell, ...]
    trees: tuple[str, ...]
    base: str = ""

    @property
    def places(self) -> frozenset[Place]:
        """The places of the cells: those at one place need each other's results where there is a base."""
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
    base = tree(config, asked.base)
    if all(cell.tree.name == base.name for cell in cells):
        raise UsageError(f"--base {asked.base} is the tree itself", "Hold it against another one: --tree names it.")
    on_base = (cell.model_copy(update={"tree": base}) for cell in cells)
    both = {cell.id: cell for cell in (*cells, *on_base)}
    return SelectedCells(
        cells=tuple(both[cell_id] for cell_id in sorted(both)),
        trees=tuple(dict.fromkeys((asked.base, *words))),
        base=base.name,
    )


def one_cell(config: Config, glob: str, trees: Sequence[str] = ()) -> Cell:
    """Return the one cell that a glob selects, on the tree that the glob names or else on the usual one.

    Raises:
        UsageError: the glob selects none, or more than one.

    """
    words = trees or (_tree_of_glob(glob) or USUAL_TREE,)
    found = select(_every_on(config, words), [glob])
    if len(found) > 1:
        raise _several(glob, found)
    return found[0]


def _several(glob: str, found: Sequence[Cell]) -> UsageError:
    """Return the error for a glob that selects more than one cell, with the ids of the first six."""
    ids = ", ".join(cell.id for cell in found[:6])
    return UsageError(f"{glob!r} selects {len(found)} cells", f"Name one of: {ids}, …")


def _tree_of_glob(glob: str) -> str:
    """Return the tree that a glob over ids names, or nothing where it names none or leaves it open."""
    name = glob.partition("@")[2]
    return "" if set(name) & set("*?[") else name


def on_trees(config: Config, cells: Iterable[str], words: Iterable[str]) -> tuple[Cell, ...]:
    """Return the cells of these ids, on the trees that `words` mean."""
    return select(_every_on(config, words), tuple(cells))


def tree(config: Config, word: str) -> Tree:
    """Return the tree that `word` means: a configured name, or `SCHEME:…` (DESIGN's `git:PATH@REV` and so on).

    Each `+NAME` at its end applies an edit of that name. A tree given by its source is named after it, with a digest of
    the source, so that ids stay short and safe.

    Raises:
        UsageError: there is no such tree or edit, or the edit is not meant for the tree.

    """
    base, names = _split(config, word)
    found = _unedited(config, base)
    chosen = [config.edits[name] for name in names]
    if base in config.trees:
        _check_are_meant_for(base, chosen)
    return _edited(found, [edits.whole(name, config.edits) for name in names])


def _edited(tree: Tree, chosen: Sequence[Edit]) -> Tree:
    name = "+".join((tree.name, *(edit.name for edit in chosen)))
    return tree.model_copy(update={"name": name, "edits": tuple(chosen)}) if chosen else tree


def _split(config: Config, word: str) -> tuple[str, list[str]]:
    """Return what a word has before its `+NAME`s, and the names of edits, in order; a tree's name may hold a `+`."""
    base, names = word, list[str]()
    while base not in config.trees:
        rest, plus, name = base.rpartition("+")
        if not plus or name not in config.edits:
            break
        base = rest
        names.insert(0, name)
    return base, names


def _check_are_meant_for(base: str, chosen: Sequence[Edit]) -> None:
    for edit in chosen:
        if not matches_any(base, edit.trees):
            applies = ", ".join(edit.trees)
            raise UsageError(f"edit {edit.name} is not meant for tree {base}", f"It applies to: {applies}.")


def _unedited(config: Config, word: str) -> Tree:
    if word in config.trees:
        return config.trees[word]
    if not _is_source(word):
        raise _no_tree(config, word)
    return Tree(name=name_of_source(word), summary=word, source=word)


def _is_source(word: str) -> bool:
    """Return whether a word is `SCHEME:…` with a scheme that is known."""
    scheme, _, rest = word.partition(":")
    return bool(rest) and scheme in SCHEMES


def _no_tree(config: Config, word: str) -> UsageError:
    """Return the error for a word that is no tree, which says what in it is wrong."""
    base, _, name = word.rpartition("+")
    if base in config.trees:
        return UsageError(f"no edit {name!r}{did_you_mean(name, config.edits)}", "Edits are in configs/edits.")
    scheme, _, rest = word.partition(":")
    meant = did_you_mean(scheme, SCHEMES) if rest else did_you_mean(word, config.trees)
    return UsageError(
        f"no tree {word!r}{meant}",
        f"A tree is a name from configs/trees, or a source, as git:PATH@REV; schemes are {', '.join(SCHEMES)}.",
    )


def every(config: Config, trees: Iterable[Tree]) -> tuple[Cell, ...]:
    """Return all cells that can exist, sorted by id: those whose image provides what the build requires."""
    distinct = {tree.name: tree for tree in trees}.values()
    cells = [cell for tree in distinct for cell in _on(tree, config)]
    return tuple(sorted(cells, key=lambda cell: cell.id))


def _every_on(config: Config, words: Iterable[str]) -> tuple[Cell, ...]:
    """Return all cells that can exist on the trees that words mean."""
    return every(config, [tree(config, word) for word in words])


def _on(tree: Tree, config: Config) -> Iterator[Cell]:
    """Yield the cells that can exist on a tree."""
    for image, build in itertools.product(config.images.values(), config.builds.values()):
        if set(build.requires) <= set(image.provides):
            for toolchain in image.toolchains:
                yield Cell(image=image, toolchain=toolchain, build=build, tree=tree)


def select(cells: Sequence[Cell], globs: Sequence[str], exclude: Sequence[str] = ()) -> tuple[Cell, ...]:
    """Return the cells that one of `globs` selects and none of `exclude` does, in order.

    Raises:
        UsageError: a glob selects nothing; naming it, and what is near.

    """
    hint = "`perf-matrix list` prints the ids; globs are IMAGE/TOOLCHAIN/BUILD@TREE, as debian-*/gcc/static."
    _check_each_matches(globs, cells, "--select {!r} selects no cell", hint)
    excluded = {cell.id for cell in _matching(cells, exclude)}
    return tuple(cell for cell in _matching(cells, globs) if cell.id not in excluded)


def _matching(cells: Sequence[Cell], globs: Sequence[str]) -> list[Cell]:
    """Return the cells that at least one glob matches, in order."""
    return [cell for cell in cells if any(matches(cell.id, glob) for glob in globs)]


def _check_each_matches(globs: Sequence[str], cells: Sequence[Cell], message: str, hint: str) -> None:
    """Refuse a glob that matches no cell; `message` has `{!r}` in its place.

    Raises:
        UsageError: there is such a glob; with the id of a cell that is near.

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
    """Return the cells of a profile, or of `globs` when given, on `trees` or else on the profile's own.

    Raises:
        UsageError: there is no such tree, nothing is selected, or a glob of `exclude` leaves nothing out.

    """
    everything = _every_on(config, trees or profile.trees)
    _check_each_matches(exclude, everything, "--exclude {!r} leaves out no cell", "`perf-matrix list` prints the ids.")
    if globs:
        found = select(everything, globs, exclude)
    else:
        found = select(everything, profile.select, (*exclude, *profile.exclude))
    if not found:
        raise UsageError("no cell is left", "Zero cells prove nothing: exclude less.")
    return found


def profile(config: Config, name: str) -> Profile:
    """Return the profile of this name.

    Raises:
        UsageError: there is none.

    """
    if name not in config.profiles:
        raise UsageError(f"no profile {name!r}{did_you_mean(name, config.profiles)}")
    return config.profiles[name]


def reproduce(cell: Cell, configs: Sequence[str], jobs: int, limits: Limits, base: str = "") -> str:
    """Return the command that runs this cell again; `configs` are the user's own folders of configuration.

    `base` is the tree that it is held against, as it was asked for.
    """
    own = itertools.chain.from_iterable(("--configs", folder) for folder in configs)
    trees = ["--tree", cell.tree.asked, *(["--base", base] if base else [])]
    words = [*own, *trees, "--select", cell.place, "-j", str(jobs), *_bounds(limits)]
    return shlex.join(["perf-matrix", "run", *words])


def _bounds(limits: Limits) -> Iterator[str]:
    """Yield the options for those limits that are not the usual ones."""
    for option, value in _options(limits).items():
        if value != _options(Limits())[option]:
            yield from (option, str(value))


def _options(limits: Limits) -> dict[str, int]:
    """Map the options of `perf-matrix run` to the limits that they set, in their units: seconds, MiB, a number."""
    return {
        "--timeout": limits.step_s,
        "--memory": limits.memory_bytes >> 20,
        "--disk": limits.disk_bytes >> 20,
        "--pids": limits.pids,
    }
