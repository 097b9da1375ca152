"""Sources of trees, `SCHEME:REST`: one module a scheme, under the scheme's name, found by listing this folder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from matrix import registry
from matrix.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matrix.engine.api import Engine

Say = Callable[[str], None]
"""A function that shows the user one line on the progress of a source."""


@dataclass(frozen=True)
class Member:
    """One file or symbolic link of a tree, its path relative to the tree's top; or an entry that is left out of it.

    `size` is in bytes; `target` is the path that a link points to, None for a file. `read` returns a file's content; it
    can be called once, before the next member is taken, as the members of an archive come from a stream. `left_out` is
    the kind of an entry that is no file or link: `pipe`, `device`, `submodule`.
    """

    path: str
    size: int
    executable: bool
    target: str | None
    read: Callable[[], bytes]
    left_out: str = ""


@dataclass(frozen=True)
class Source:
    """A tree's source.

    `origin` is its name for people. `fixed` is a name of its content where that can never change (`git COMMIT`), and
    empty where it can (a folder). `members` returns the tree's files and links, each path once.
    """

    origin: str
    fixed: str
    members: Callable[[], Iterator[Member]]


@runtime_checkable
class Scheme(Protocol):
    """A kind of source; a module of this folder has one as SCHEME."""

    form: str
    """The form of such a source, for example `git:PATH@REV`."""

    example: str
    """A well-formed REST after the scheme's `:`; no source of that name need exist."""

    def open(self, rest: str, engine: Engine, say: Say) -> Source:
        """Return the source that REST names, fetched if need be.

        Raises:
            UsageError: REST is not of the scheme's form, or names no source that exists.
            InfrastructureError: the source could not be fetched.

        """


@functools.cache
def schemes() -> Mapping[str, Scheme]:
    """Return every scheme by its name."""
    return registry.load(__name__, "SCHEME", Scheme)  # type: ignore[type-abstract] # its modules are asked, not it


def open_source(text: str, engine: Engine, say: Say) -> Source:
    """Return the source that `SCHEME:REST` names, fetched if need be.

    Raises:
        UsageError: the scheme, file, folder, repository, revision or package does not exist.
        InfrastructureError: the source could not be fetched.

    """
    name, _, rest = text.partition(":")
    scheme = schemes().get(name)
    if scheme is None:
        forms = ", ".join(one.form for one in schemes().values())
        raise UsageError(f"no source {text!r}{did_you_mean(name, schemes())}", f"A source is one of {forms}.")
    return scheme.open(rest, engine, say)
