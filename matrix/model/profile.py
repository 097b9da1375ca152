"""Profiles: selections of cells with a name."""

from __future__ import annotations

from matrix.model.base import Frozen, Name


class Profile(Frozen):
    """A selection with a name, from `configs/profiles/NAME.yaml`.

    `require` is what `perf-matrix compare` must come to: `build at least 5 % faster`, `no-op no slower than 2 %`.
    """

    name: Name
    summary: str
    select: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    trees: tuple[str, ...] = ("7.3",)
    require: tuple[str, ...] = ()
