"""Extension points: packages in which each module adds one value, of one type and under one name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from typing import TypeVar

Kind = TypeVar("Kind")


def names(package: str) -> tuple[str, ...]:
    """Return the names of a package's modules, sorted, without importing them.

    Raises:
        ModuleNotFoundError: the package does not exist.

    """
    # find_spec imports the packages above this one, and not the package itself.
    folders = getattr(importlib.util.find_spec(package), "submodule_search_locations", None)
    if folders is None:
        raise ModuleNotFoundError(f"there is no package {package}")
    return tuple(sorted(module.name for module in pkgutil.iter_modules(folders)))


def load(package: str, attribute: str, kind: type[Kind]) -> dict[str, Kind]:
    """Return the values that a package's modules add, by the modules' names, in the order of the names.

    Args:
        package: the package's dotted name, for example `matrix.checks`; its own `__init__` adds nothing.
        attribute: the name of the value in each module, for example `CHECK`.
        kind: the type, or runtime-checkable Protocol, of every value.

    Raises:
        TypeError: a module has no value of that name, or one of another type.

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
