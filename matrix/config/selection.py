"""Selects cells among all that there can be: sorted, the same in every process. Pure."""

from __future__ import annotations

import hashlib
import itertools
import shlex
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from matrix import registry
from matrix.config import edits
from matrix.errors import UsageError, did_you_mean
from matrix.model.cell import Cell, Limits, matches
from matrix.model.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matrix.config.load import Config
    from matrix.model.edit import Edit
    from matrix.model.profile import Profile

SCHEMES = registry.names("matrix.trees.sources")
"""What a tree's source may begin with. The room of trees is above this one, so only its files' names are read."""


def tree(config: Config, word: str) -> Tree:
    """Return the tree that `word` means: a configured name, or `SCHEME:…` (DESIGN's `git:PATH@REV` and so on).

    Each `+NAME` at its end applies an edit of that name. A tree given by its source is named after it, with a digest of
    the source, so that ids stay short and safe.

    Raises:
        UsageError: there is no such tree or edit, or the edit is not meant for the tree.

    """
    base, names = _split(config, word)
    found = _unedited(config, base)
    if not names:
        return found
    if base in config.trees:
        _check_are_meant_for(base, [config.edits[name] for name in names])
    edited = tuple(edits.whole(name, config.edits) for name in names)
    return found.model_copy(update={"name": "+".join((found.name, *names)), "edits": edited})


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
        if not any(fnmatchcase(base, glob) for glob in edit.trees):
            applies = ", ".join(edit.trees)
            raise UsageError(f"edit {edit.name} is not meant for tree {base}", f"It applies to: {applies}.")


def _unedited(config: Config, word: str) -> Tree:
    if word in config.trees:
        return config.trees[word]
    scheme, _, rest = word.partition(":")
    if scheme in SCHEMES and rest:
        digest = hashlib.sha256(word.encode()).hexdigest()[:10]
        return Tree(name=f"{scheme}-{digest}", summary=word, source=word)
    base, _, name = word.rpartition("+")
    if base in config.trees:
        raise UsageError(f"no edit {name!r}{did_you_mean(name, config.edits)}", "Edits are in configs/edits.")
    meant = did_you_mean(scheme, SCHEMES) if rest else did_you_mean(word, config.trees)
    raise UsageError(
        f"no tree {word!r}{meant}",
        f"A tree is a name from configs/trees, or a source, as git:PATH@REV; schemes are {', '.join(SCHEMES)}.",
    )


def every(config: Config, trees: Iterable[Tree]) -> tuple[Cell, ...]:
    """Return all cells that can exist, sorted by id: those whose image provides what the build requires."""
    distinct = {tree.name: tree for tree in trees}.values()
    cells = [cell for tree in distinct for cell in _on(tree, config)]
    return tuple(sorted(cells, key=lambda cell: cell.id))


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
    for glob in globs:
        if not _matching(cells, [glob]):
            raise UsageError(
                f"--select {glob!r} selects no cell{_near(glob, cells)}",
                "`perf-matrix list` prints the ids; globs are IMAGE/TOOLCHAIN/BUILD@TREE, as debian-*/gcc/static.",
            )
    excluded = {cell.id for cell in _matching(cells, exclude)}
    return tuple(cell for cell in _matching(cells, globs) if cell.id not in excluded)


def _matching(cells: Sequence[Cell], globs: Sequence[str]) -> list[Cell]:
    """Return the cells that at least one glob matches, in order."""
    return [cell for cell in cells if any(matches(cell.id, glob) for glob in globs)]


def _near(glob: str, cells: Sequence[Cell]) -> str:
    return did_you_mean(glob, (cell.id for cell in cells))


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
    everything = every(config, [tree(config, word) for word in trees or profile.trees])
    for glob in exclude:
        if not _matching(everything, [glob]):
            near = _near(glob, everything)
            raise UsageError(f"--exclude {glob!r} leaves out no cell{near}", "`perf-matrix list` prints the ids.")
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
    words = [*(word for folder in configs for word in ("--configs", folder)), "--tree", cell.tree.asked]
    words += ["--base", base] if base else []
    usual = Limits()
    options = {
        "--timeout": (limits.step_s, usual.step_s),
        "--memory": (limits.memory_bytes >> 20, usual.memory_bytes >> 20),
        "--disk": (limits.disk_bytes >> 20, usual.disk_bytes >> 20),
        "--pids": (limits.pids, usual.pids),
    }
    bounds = [word for name, (now, before) in options.items() if now != before for word in (name, str(now))]
    select = ["--select", cell.place]
    return shlex.join(["perf-matrix", "run", *words, *select, "-j", str(jobs), *bounds])
