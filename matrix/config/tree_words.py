"""The words by which a user names a tree: a configured name or a source, with `+NAME` for each edit. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix import registry
from matrix.config import edits
from matrix.credentials import refuse_credentials
from matrix.errors import UsageError, did_you_mean
from matrix.model.globs import matches_any
from matrix.model.tree import Tree, name_of_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.config.load import Config
    from matrix.model.edit import Edit

SCHEMES = registry.names("matrix.trees.sources")
"""The schemes of sources. The room of trees is above this one, so only the names of its modules are read."""


def tree(config: Config, word: str) -> Tree:
    """Return the tree that `word` means: a configured name, or a source (`git:PATH@REV`), and `+NAME` for each edit.

    The name of a tree given by its source is the scheme and a digest of the source, so that ids stay short and have
    only the characters of a name.

    Raises:
        UsageError: the tree or an edit does not exist, or the edit is not meant for the tree.

    """
    base, names = _split(config, word)
    found = _unedited(config, base)
    chosen = [config.edits[name] for name in names]
    if base in config.trees:
        _check_are_meant_for(base, chosen)
    return _edited(found, [edits.whole(name, config.edits) for name in names])


def is_tree(config: Config, word: str) -> bool:
    """Return whether `tree` knows a word."""
    try:
        tree(config, word)
    except UsageError:
        return False
    return True


def _edited(tree: Tree, chosen: Sequence[Edit]) -> Tree:
    name = "+".join((tree.name, *(edit.name for edit in chosen)))
    return tree.model_copy(update={"name": name, "edits": tuple(chosen)}) if chosen else tree


def _split(config: Config, word: str) -> tuple[str, list[str]]:
    """Return the word without the `+NAME`s at its end, and these names of edits, in their order."""
    # From the end, and only over names of edits: a configured tree's name and a source may have a `+` of their own.
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
            raise UsageError(f"edit {edit.name} is not meant for tree {base}", f"The edit applies to: {applies}.")


def _unedited(config: Config, word: str) -> Tree:
    if word in config.trees:
        return config.trees[word]
    if not _is_source(word):
        raise _no_tree(config, word)
    refuse_credentials(word)
    return Tree(name=name_of_source(word), summary=word, source=word)


def _is_source(word: str) -> bool:
    """Return whether a word is `SCHEME:…` with a scheme that is known."""
    scheme, _, rest = word.partition(":")
    return bool(rest) and scheme in SCHEMES


def _no_tree(config: Config, word: str) -> UsageError:
    """Return the error for a word that is no tree; its message says which part of the word is wrong."""
    base, _, name = word.rpartition("+")
    if base in config.trees:
        return UsageError(f"no edit {name!r}{did_you_mean(name, config.edits)}", "Edits are in configs/edits.")
    scheme, _, rest = word.partition(":")
    meant = did_you_mean(scheme, SCHEMES) if rest else did_you_mean(word, config.trees)
    return UsageError(
        f"no tree {word!r}{meant}",
        f"A tree is a name from configs/trees, or a source, as git:PATH@REV; schemes are {', '.join(SCHEMES)}.",
    )
