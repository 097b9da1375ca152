"""Reads configs/ and containers/: every file of a folder is one image, build, tree, edit, claim or profile."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from matrix import errors
from matrix.checks import registry
from matrix.config import strict_yaml
from matrix.errors import UsageError
from matrix.model.base import Frozen
from matrix.model.build import Build
from matrix.model.claim import Claim
from matrix.model.edit import Edit
from matrix.model.image import Image
from matrix.model.known_failure import KnownFailure
from matrix.model.profile import Profile
from matrix.model.tree import Tree
from matrix.verdicts import requirement
from matrix.verdicts.comparison import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

T = TypeVar("T", Image, Build, Tree, Edit, Claim, Profile)


class _KnownFailures(Frozen):
    failures: tuple[KnownFailure, ...] = ()


@dataclass(frozen=True)
class Config:
    """All that is configured, each by its name."""

    images: dict[str, Image]
    builds: dict[str, Build]
    trees: dict[str, Tree]
    edits: dict[str, Edit]
    claims: dict[str, Claim]
    profiles: dict[str, Profile]
    known: tuple[KnownFailure, ...]


def resources() -> Path:
    """Return the folder that holds configs/ and containers/: the checkout, or the installed package's data."""
    here = Path(__file__).resolve().parents[1]
    return here.parent if (here.parent / "configs").is_dir() else here / "data"


def cell_tests() -> Path:
    """Return the folder of the pytest module that runs cells."""
    root = resources()
    return root / "cells" if (root / "cells").is_dir() else root / "tests" / "cells"


def load(extra: Sequence[Path] = ()) -> Config:
    """Return what the product's folders and the user's (`--configs DIR`) hold; a later folder adds or replaces.

    Raises:
        UsageError: with every mistake of every file, a line each.

    """
    roots = [resources(), *extra]
    mistakes: list[str] = [f"{root}: no such folder; --configs takes one" for root in roots if not root.is_dir()]
    mistakes += [mistake for root in extra if root.is_dir() for mistake in _misnamed(root)]
    config = Config(
        images=_folder(Image, [root / "containers" for root in roots], mistakes),
        builds=_folder(Build, [_configs(root) / "builds" for root in roots], mistakes),
        trees=_folder(Tree, [_configs(root) / "trees" for root in roots], mistakes),
        edits=_folder(Edit, [_configs(root) / "edits" for root in roots], mistakes),
        claims=_folder(Claim, [_configs(root) / "claims" for root in roots], mistakes),
        profiles=_folder(Profile, [_configs(root) / "profiles" for root in roots], mistakes),
        known=_known([_configs(root) / "known-failures.yaml" for root in roots], mistakes),
    )
    mistakes += _cross_check(config)
    if mistakes:
        raise UsageError("\n".join(mistakes))
    return config


FOLDERS = ("builds", "claims", "edits", "profiles", "trees")


def _misnamed(root: Path) -> list[str]:
    """Return what a user's folder holds that would be passed over without a word."""
    folders = [root / "containers", *(_configs(root) / name for name in FOLDERS)]
    there = [folder for folder in folders if folder.is_dir()]
    mistakes = [
        f"{path}: expected a name that ends in .yaml"
        for folder in there
        for path in sorted(folder.iterdir())
        if path.suffix != ".yaml"
    ]
    if not there and not (_configs(root) / "known-failures.yaml").is_file():
        names = ", ".join(("containers", *FOLDERS))
        mistakes.append(f"{root}: holds no configuration; expected folders {names}, or known-failures.yaml")
    return mistakes


def _configs(root: Path) -> Path:
    return root / "configs" if (root / "configs").is_dir() else root


def _folder(model: type[T], folders: Iterable[Path], mistakes: list[str]) -> dict[str, T]:
    documents: dict[str, tuple[Path, Any]] = {}
    broken: set[str] = set()
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            try:
                meant = list(_each(path.stem, strict_yaml.read(path)))
            except UsageError as error:
                mistakes.append(str(error))
                broken.add(path.stem)
                continue
            for name, one in meant:
                documents[name] = (path, {"name": name, **one} if isinstance(one, dict) else one)
    found: dict[str, T] = {}
    for name, (path, data) in documents.items():
        if isinstance(data, dict) and data.get("extends") in broken:
            continue
        try:
            found[name] = strict_yaml.parse(model, _extended(documents, name), path)
        except UsageError as error:
            mistakes.append(str(error))
            continue
        if found[name].name != name:
            mistakes.append(f"{path}: key 'name': expected {name!r}, found {found[name].name!r}")
    return found


def _each(name: str, data: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a file stands for: itself or, where it has `each`, one `NAME-ITEM` for every item of that mapping.

    An item's values take the place of `@KEY@` in every string of the file, and `@name@` is its own name.
    """
    each = data.get("each") if isinstance(data, dict) else None
    if not isinstance(each, dict):
        yield name, data
        return
    rest = {key: value for key, value in data.items() if key != "each"}
    whole = json.dumps(rest)
    for item, values in each.items():
        for key in values if isinstance(values, dict) else ():
            if f"@{key}@" not in whole:
                raise UsageError(f"{name}: key 'each.{item}.{key}': nothing in the file says @{key}@")
    for item, values in each.items():
        yield f"{name}-{item}", _filled(rest, {"name": item, **(values if isinstance(values, dict) else {})})


def _filled(value: Any, words: dict[str, Any]) -> Any:
    if isinstance(value, str):
        for key, word in words.items():
            value = value.replace(f"@{key}@", str(word))
        return value
    if isinstance(value, list):
        return [_filled(one, words) for one in value]
    return {key: _filled(one, words) for key, one in value.items()} if isinstance(value, dict) else value


def _extended(documents: dict[str, tuple[Path, Any]], name: str, above: tuple[str, ...] = ()) -> Any:
    path, data = documents[name]
    parent = data.get("extends") if isinstance(data, dict) else None
    if not isinstance(parent, str):
        return data
    if parent in (*above, name):
        raise UsageError(f"{path}: key 'extends': {' -> '.join((*above, name, parent))} is a circle")
    if parent not in documents:
        raise UsageError(f"{path}: key 'extends': no {parent!r}{errors.did_you_mean(parent, documents)}")
    return _merged(_extended(documents, parent, (*above, name)), data)


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _merged(below.get(key), value) for key, value in above.items()}}
    return above


def _known(paths: Iterable[Path], mistakes: list[str]) -> tuple[KnownFailure, ...]:
    entries: tuple[KnownFailure, ...] = ()
    for path in paths:
        if path.is_file():
            try:
                entries += strict_yaml.parse(_KnownFailures, strict_yaml.read(path), path).failures
            except UsageError as error:
                mistakes.append(str(error))
    return entries


def _cross_check(config: Config) -> list[str]:
    provided = {name for image in config.images.values() for name in image.provides}
    mistakes = [
        f"build {build.name}: key 'requires': no image provides {need!r}{errors.did_you_mean(need, provided)}"
        for build in config.builds.values()
        for need in build.requires
        if need not in provided
    ]
    mistakes += [
        f"known-failures.yaml: key 'check': no check {entry.check!r}{errors.did_you_mean(entry.check, registry())}"
        for entry in config.known
        if entry.check not in registry()
    ]
    mistakes += _named_mistakes(config)
    mistakes += _timing_mistakes(config)
    mistakes += [
        f"profile {profile.name}: key 'trees': no tree {tree!r}{errors.did_you_mean(tree, config.trees)}"
        for profile in config.profiles.values()
        for tree in profile.trees
        if tree not in config.trees and ":" not in tree
    ]
    return mistakes


def _timing_mistakes(config: Config) -> list[str]:
    mistakes = [
        f"claim {claim.name}: key 'measured_by.measure': nothing measures {claim.measured_by.measure!r}"
        f"{errors.did_you_mean(claim.measured_by.measure, MEASURES)}"
        for claim in config.claims.values()
        if claim.measured_by and claim.measured_by.measure not in MEASURES
    ]
    for profile in config.profiles.values():
        for text in profile.require:
            try:
                requirement.parse(text)
            except UsageError as error:
                mistakes.append(f"profile {profile.name}: key 'require': {error}")
    return mistakes


def _named_mistakes(config: Config) -> list[str]:
    mistakes = [
        f"edit {edit.name}: key 'includes': no edit {name!r}{errors.did_you_mean(name, config.edits)}"
        for edit in config.edits.values()
        for name in edit.includes
        if name not in config.edits
    ]
    mistakes += [
        f"claim {claim.name}: key 'decided_by.check': no check {claim.decided_by.check!r}"
        f"{errors.did_you_mean(claim.decided_by.check, registry())}"
        for claim in config.claims.values()
        if claim.decided_by and claim.decided_by.check not in registry()
    ]
    return mistakes + [
        f"edit {edit.name}: key 'expect.check': no check {edit.expect.check!r}"
        f"{errors.did_you_mean(edit.expect.check, registry())}"
        for edit in config.edits.values()
        if edit.expect and edit.expect.check not in registry()
    ]
