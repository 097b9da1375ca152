"""Extension points: a folder in which each module adds one thing, a value of one type under one name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from typing import TypeVar

Kind = TypeVar("Kind")


def names(package: str) -> tuple[str, ...]:
    """Return the names of a package's modules, sorted; none of them is imported.

    Raises:
        ModuleNotFoundError: there is no such package.

    """
    folders = getattr(importlib.util.find_spec(package), "submodule_search_locations", None)
    if folders is None:
        raise ModuleNotFoundError(f"there is no package {package}")
    return tuple(sorted(module.name for module in pkgutil.iter_modules(folders)))


def load(package: str, attribute: str, kind: type[Kind]) -> dict[str, Kind]:
    """Return what each module of a package adds, by the module's name, in the order of the names.

    Args:
        package: the package's dotted name, as `matrix.checks`; its own `__init__` adds nothing.
        attribute: the name that each of its modules gives what it adds, as `CHECK`.
        kind: the type, or runtime-checkable Protocol, of which every one of them must be.

    Raises:
        TypeError: a module adds nothing under that name, or something of another type.

    """
    found: dict[str, Kind] = {}
    for name in names(package):
        added = getattr(importlib.import_module(f"{package}.{name}"), attribute, None)
        if not isinstance(added, kind):
            raise TypeError(
                f"{package}.{name}: {attribute} must be of type {kind.__name__}, not {type(added).__name__}"
            )
        found[name] = added
    return found
