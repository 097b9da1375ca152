"""The cell of this machine for a stranger's result, which decides no command outside of a cell. Pure.

An image's recipe runs as root with the network, and an edit and a source name files: they are this machine's own of the
same names. A build's variables, environment and goals are the result's, as they are only words of a command in a cell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matrix.config import edits, tree_words
from matrix.errors import UsageError, did_you_mean
from matrix.model.cell import Cell, Limits
from matrix.untrusted import short

if TYPE_CHECKING:
    from matrix.config.load import Config
    from matrix.model.edit import Edit
    from matrix.model.image import Image
    from matrix.model.result import CellResult
    from matrix.model.tree import Tree

DEBIAN = re.compile(r"deb:linux-source-[0-9][0-9.]*@[a-z]+(?:-[a-z]+)*", re.A)
"""The only sources that a stranger may name: kernel packages of Debian, whose signatures apt checks."""


def adopted(result: CellResult, then: Cell, config: Config, spec: str, *, has_patch: bool) -> Cell:
    """Return the cell to run for a stranger's result; `then` is the result's definition, `spec` the word of --tree.

    A patch of the result's bundle (`has_patch`) is still to be applied to the cell's tree.

    Raises:
        UsageError: the image, its toolchain, the tree or an edit is missing here; the hint says what to give.

    """
    image = _image(then, config)
    tree = chosen_tree(result, then.tree, config, spec)
    if then.tree.delta and not has_patch:
        raise UsageError(
            f"the result of {then.id} has a patch, which only its bundle holds",
            "Ask whoever sent it for `perf-matrix bundle`'s file.",
        )
    # The definition has the keys of the extended build already, and a build of that name here may have others.
    return Cell(image=image, toolchain=then.toolchain, build=then.build.model_copy(update={"extends": ""}), tree=tree)


def _image(then: Cell, config: Config) -> Image:
    """Return this machine's image of the same name, with the cell's toolchain and all that its build requires."""
    name = then.image.name
    if name not in config.images:
        raise UsageError(
            f"there is no image {name!r} here{did_you_mean(name, config.images)}",
            "A recipe runs as root, so a bundle's is never used: look at its recipe.json, "
            "and add it as containers/NAME.yaml of a folder for --configs.",
        )
    image = config.images[name]
    if then.toolchain not in image.toolchains:
        raise UsageError(
            f"image {name} has no toolchain {then.toolchain!r} here{did_you_mean(then.toolchain, image.toolchains)}",
            "Add it to the image in a folder for --configs.",
        )
    lacking = sorted(set(then.build.requires) - set(image.provides))
    if lacking:
        raise UsageError(
            f"image {name} does not provide {', '.join(lacking)} here, which build {then.build.name} requires",
            "Add it to the image in a folder for --configs.",
        )
    return image


def chosen_tree(result: CellResult, then: Tree, config: Config, spec: str) -> Tree:
    """Return the tree to use: the one that `spec` names, else one that both machines know by name and source.

    The tree has its name in the result, so that the ids of both cells are equal.

    Raises:
        UsageError: only the result's machine has the source, or an edit is missing on this machine.

    """
    bare = then.unedited
    base = _given_tree(bare, config, spec) if spec else tree_known_here(bare, config)
    if base is None:
        raise _wanted(result, bare, config.trees.get(bare.name))
    summary = f"the tree of {result.id}"
    applied = tuple(_edit(edit, config) for edit in then.edits)
    return base.model_copy(update={"name": then.name, "summary": summary, "edits": applied, "delta": None})


def tree_known_here(then: Tree, config: Config) -> Tree | None:
    """Return the tree to use without --tree: the configured one of the same name and source, or one of Debian's.

    `then` is the result's tree without edits. None means that the tree must be given.
    """
    configured = config.trees.get(then.name)
    if configured and configured.source == then.source:
        return configured
    return then if DEBIAN.fullmatch(then.source) else None


def _given_tree(bare: Tree, config: Config, spec: str) -> Tree:
    """Return the tree that `spec` names: a configured one, or the result's tree `bare` with the source `spec`."""
    found = tree_words.tree(config, spec)
    if found.edits:
        raise UsageError(f"--tree {spec} has edits", "Give the tree without: the result's own are applied to it.")
    is_configured = spec in config.trees
    return found if is_configured else bare.model_copy(update={"source": found.source})


def _edit(then: Edit, config: Config) -> Edit:
    if then.name not in config.edits:
        raise UsageError(
            f"there is no edit {then.name!r} here{did_you_mean(then.name, config.edits)}",
            "Add it as edits/NAME.yaml of a folder for --configs.",
        )
    return edits.whole(then.name, config.edits)


def _wanted(result: CellResult, then: Tree, configured: Tree | None) -> UsageError:
    """Return the error for a tree that must be given, with the facts by which its reader can find the same one."""
    facts = [f"its source there was {short(then.source)}"]
    if result.tree:
        facts.append(f"its version {short(result.tree.version)}")
        edited = " (with its edits)" if then.name != result.tree.name else ""
        facts.append(f"its sha256{edited} {short(result.tree.sha256)}")
    here = (
        f"Here, tree {then.name} is {configured.source}: if it is the same, --tree {then.name}. " if configured else ""
    )
    return UsageError(
        f"the tree {then.name} must be given: {', '.join(facts)}",
        f"{here}--tree SPEC: a configured name, git:PATH@REV, dir:PATH, tar:FILE-or-URL or deb:PACKAGE@SUITE.",
    )


def bounded(limits: Limits) -> Limits:
    """Return a stranger's limits, each lowered to the default one where it is higher: they use up this machine."""
    usual = Limits().model_dump()
    return Limits(**{name: min(value, usual[name]) for name, value in limits.model_dump().items()})
