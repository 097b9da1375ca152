"""Profiles: selections of cells with a name."""

from __future__ import annotations

from matrix.model.base import Frozen, Name


class Profile(Frozen):
    """A selection of cells with a name, from `configs/profiles/NAME.yaml`.

    `require` are the requirements on times that a gate measures, such as `build at least 5 % faster`.
    """

    name: Name
    summary: str
    select: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    trees: tuple[str, ...] = ("7.3",)
    require: tuple[str, ...] = ()
