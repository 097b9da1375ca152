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
"""A function that tells the user of a source's progress, a line a call."""


@dataclass(frozen=True)
class Member:
    """One file or symbolic link of a tree, its path relative to the tree's top.

    `target` is where a link points, None for a file. `read` returns a file's content, once, before the next member is
    asked for.
    """

    path: str
    size: int
    executable: bool
    target: str | None
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Source:
    """A tree's source.

    `origin` is its name for people. `fixed` is the name of content that never changes, empty where it may (a folder).
    `members` gives the tree's files and links, each path once.
    """

    origin: str
    fixed: str
    members: Callable[[], Iterator[Member]]


@runtime_checkable
class Scheme(Protocol):
    """A kind of source; a module of this folder has one as SCHEME."""

    form: str
    """The form of such a source, as `git:PATH@REV`."""

    example: str
    """A REST after the scheme's `:` that is well formed; nothing need be there."""

    def open(self, rest: str, engine: Engine, say: Say) -> Source:
        """Return the source that REST names, fetched if it had to be.

        Raises:
            UsageError: REST is not of the scheme's form, or nothing of that name is there.
            InfrastructureError: it could not be fetched.

        """


@functools.cache
def schemes() -> Mapping[str, Scheme]:
    """Return the schemes that there are, by name."""
    return registry.load(__name__, "SCHEME", Scheme)  # type: ignore[type-abstract] # its modules are asked, not it


def open_source(text: str, engine: Engine, say: Say) -> Source:
    """Return the source that `SCHEME:REST` names, fetched if it had to be.

    Raises:
        UsageError: there is no such scheme, file, folder, repository, revision or package.
        InfrastructureError: it could not be fetched.

    """
    name, _, rest = text.partition(":")
    scheme = schemes().get(name)
    if scheme is None:
        forms = ", ".join(one.form for one in schemes().values())
        raise UsageError(f"no source {text!r}{did_you_mean(name, schemes())}", f"A source is one of {forms}.")
    return scheme.open(rest, engine, say)
