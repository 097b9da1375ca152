"""Ids of cells, `IMAGE/TOOLCHAIN/BUILD@TREE`, and places, which are the same without the tree."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

# Names of configuration files, or globs of them: nothing that a terminal, a shell, a file system or a mail obeys.
_PART = r"[A-Za-z0-9*?\[][A-Za-z0-9._+*?!\[\]-]*"
_PLACE = re.compile(rf"{_PART}/{_PART}/{_PART}")
_CELL_ID = re.compile(rf"{_PLACE.pattern}@[A-Za-z0-9][A-Za-z0-9._+-]*")


class _Text(str):
    """A string of one form; pydantic takes and writes it as a string."""

    # A subclass of str: as an id it is a key of JSON objects and a part of messages and paths.
    __slots__ = ()

    # pydantic's hook for types of one's own: https://docs.pydantic.dev/latest/concepts/types/
    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())


class Place(_Text):
    """Image, toolchain and build of a cell: `debian-trixie/gcc/static`.

    Raises:
        ValueError: the text has another form.

    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Take a text of that form."""
        if not _PLACE.fullmatch(text):
            raise ValueError(f"expected IMAGE/TOOLCHAIN/BUILD, found {text!r}")
        return super().__new__(cls, text)

    @property
    def image(self) -> str:
        """The image's name."""
        return self.split("/")[0]

    @property
    def toolchain(self) -> str:
        """The toolchain's name."""
        return self.split("/")[1]

    @property
    def build(self) -> str:
        """The build's name."""
        return self.split("/")[2]

    def on(self, tree: str) -> CellId:
        """Return the id of the cell at this place on the tree of this name."""
        return CellId(f"{self}@{tree}")


class CellId(_Text):
    """The id of a cell: `debian-trixie/gcc/static@7.3`.

    Raises:
        ValueError: the text has another form.

    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Take a text of that form."""
        if not _CELL_ID.fullmatch(text):
            raise ValueError(f"expected IMAGE/TOOLCHAIN/BUILD@TREE, found {text!r}")
        return super().__new__(cls, text)

    @property
    def place(self) -> Place:
        """The id without the tree."""
        return Place(self.partition("@")[0])

    @property
    def tree(self) -> str:
        """The tree's name."""
        return self.partition("@")[2]
