"""The YAML files of one kind, in one or several folders, read into documents by name.

A file with `each` is a template for several documents; a document with `extends` is laid over another one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from matrix.config import strict_yaml
from matrix.errors import UsageError, did_you_mean
from matrix.model.build import Build
from matrix.model.claim import Claim
from matrix.model.edit import Edit
from matrix.model.image import Image
from matrix.model.profile import Profile
from matrix.model.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

EACH_CHARS = 16 << 20
"""The most characters that a file may stand for with `each`: the product's largest stands for 20,000."""

Kind = TypeVar("Kind", Image, Build, Tree, Edit, Claim, Profile)


@dataclass(frozen=True)
class _Document:
    """A document and its file; `data` is any YAML value, as it is validated only once it has been merged."""

    path: Path
    data: Any

    @property
    def parent(self) -> str:
        """The name of the document that this one extends, or nothing."""
        parent = _mapping(self.data).get("extends")
        return parent if isinstance(parent, str) else ""


def read(kind: type[Kind], folders: Iterable[Path], mistakes: list[str]) -> dict[str, Kind]:
    """Return the nouns of one kind in all folders, by name; a later folder adds to the earlier ones or replaces theirs.

    A sentence for each mistake is appended to `mistakes`; a document with a mistake is left out.
    """
    documents = _Documents(mistakes)
    for folder in folders:
        documents.add_folder(folder)
    return documents.parsed(kind)


class _Documents:
    """The documents of one kind by name, and the names of the files that are no YAML."""

    def __init__(self, mistakes: list[str]) -> None:
        self._mistakes = mistakes
        self._found: dict[str, _Document] = {}
        self._broken: set[str] = set()

    def add_folder(self, folder: Path) -> None:
        """Add the documents of a folder, which need not exist."""
        for path in sorted(folder.glob("*.yaml")):
            self._add(path)

    def _add(self, path: Path) -> None:
        """Add the documents of a file, in place of earlier ones of the same names."""
        try:
            meant = dict(_expanded(path.stem, strict_yaml.read(path)))
        except UsageError as error:
            self._mistakes.append(str(error))
            self._broken.add(path.stem)  # documents that extend this one would repeat its mistake
            return
        for name, data in meant.items():
            self._found[name] = _Document(path, _named(name, data))

    def parsed(self, kind: type[Kind]) -> dict[str, Kind]:
        """Return the documents as values of a model, by name.

        A document that extends a broken file is left out without a further mistake.
        """
        found: dict[str, Kind] = {}
        for name, document in self._found.items():
            if document.parent not in self._broken:
                self._parse(kind, name, found)
        return found

    def _parse(self, kind: type[Kind], name: str, found: dict[str, Kind]) -> None:
        path = self._found[name].path
        try:
            found[name] = strict_yaml.parse(kind, self._extended(name), path)
        except UsageError as error:
            self._mistakes.append(str(error))
            return
        if found[name].name != name:
            self._mistakes.append(f"{path}: key 'name': expected {name!r}, found {found[name].name!r}")

    def _extended(self, name: str, above: tuple[str, ...] = ()) -> Any:
        """Return a document's data, laid over the data of the document that it extends.

        `above` are the names of the documents that extend this one, from the outermost.

        Raises:
            UsageError: the extended document does not exist, or documents extend each other in a circle.

        """
        document = self._found[name]
        parent = document.parent
        if not parent:
            return document.data
        chain = (*above, name)
        if parent in chain:  # refused before the recursion, which would not end
            raise UsageError(f"{document.path}: key 'extends': {' -> '.join((*chain, parent))} is a circle")
        if parent not in self._found:
            raise UsageError(f"{document.path}: key 'extends': no {parent!r}{did_you_mean(parent, self._found)}")
        return _merged(self._extended(parent, chain), document.data)


def _mapping(value: Any) -> dict[str, Any]:
    """Return a mapping as it is, and an empty one for any other value, which validation refuses later."""
    return value if isinstance(value, dict) else {}


def _named(name: str, data: Any) -> Any:
    """Return a document with its name, which is the file's unless the document says another."""
    return {"name": name, **data} if isinstance(data, dict) else data


def _expanded(name: str, data: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the data of each document of a file: one, or with `each` one `NAME-ITEM` for each item of it.

    An item's values replace `@KEY@` in every string of the file; `@name@` is the item's name.

    Raises:
        UsageError: `@KEY@` occurs nowhere in the file for a key of an item.

    """
    each = _mapping(data).get("each")
    if not isinstance(each, dict):
        yield name, data
        return
    template = {**data}
    del template["each"]
    _check_size(name, template, each)
    _check_words_occur(name, template, each)
    for item, values in each.items():
        yield f"{name}-{item}", _filled(template, {"name": item, **_mapping(values)})


def _check_size(name: str, template: dict[str, Any], each: dict[str, Any]) -> None:
    """Refuse a file of which `each` would make more than EACH_CHARS, with every `@KEY@` replaced.

    Raises:
        UsageError: it would.

    """
    marks = json.dumps(template).count("@")
    longest = max((len(json.dumps(values)) for values in each.values()), default=0)
    if len(each) * (len(json.dumps(template)) + marks * longest) > EACH_CHARS:
        raise UsageError(f"{name}: key 'each' makes more than {EACH_CHARS} characters of the file")


def _check_words_occur(name: str, template: dict[str, Any], each: dict[str, Any]) -> None:
    unused = next(_unused_words(template, each), None)
    if unused:
        item, key = unused
        raise UsageError(f"{name}: key 'each.{item}.{key}': nothing in the file says @{key}@")


def _unused_words(template: dict[str, Any], each: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each item and key of `each` whose `@KEY@` occurs nowhere in the file."""
    text = json.dumps(template)  # all strings of the template at once
    for item, values in each.items():
        yield from ((item, key) for key in _mapping(values) if f"@{key}@" not in text)


def _filled(value: Any, words: dict[str, Any]) -> Any:
    """Return a value in whose strings each `@KEY@` is replaced by the word of that key."""
    if isinstance(value, str):
        return _replaced(value, words)
    return _with_each(value, lambda inner: _filled(inner, words))


def _with_each(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a mapping or a list with `change` applied to each of its values, and any other value as it is."""
    if isinstance(value, dict):
        return {key: change(inner) for key, inner in value.items()}
    return [change(inner) for inner in value] if isinstance(value, list) else value


def _replaced(text: str, words: dict[str, Any]) -> str:
    for key, word in words.items():
        text = text.replace(f"@{key}@", str(word))
    return text


def _merged(below: Any, above: Any) -> Any:
    """Return two mappings merged, key by key; of two other values, the one above."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _merged(below.get(key), value) for key, value in above.items()}}
    return above
