"""The places of the values in a JSON text, so that one can be changed without reading and writing all of it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.S)


class Place(NamedTuple):
    """A value in a list or mapping, and what is to be cut to remove it with its key and a comma."""

    begin: int
    end: int
    before: int
    after: int


class _Open:
    """A list or mapping whose end was not read yet; `elements` are the begins of elements and values, and the ends."""

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.element = self.value = self.end = 0
        self.is_empty = True
        self.elements: list[tuple[int, int, int]] = []

    def add(self, begin: int, end: int) -> None:
        """Take a key or a value; a value after a key is of one element with it."""
        if self.is_empty:
            self.element, self.is_empty = begin, False
        self.value, self.end = begin, end

    def close_element(self) -> None:
        """Note the element before a comma or the end."""
        if not self.is_empty:
            self.elements.append((self.element, self.value, self.end))
        self.is_empty = True

    def places(self) -> list[Place]:
        """Return the places of the values."""
        found, last = [], len(self.elements) - 1
        for number, (element, value, end) in enumerate(self.elements):
            if number < last:
                before, after = element, self.elements[number + 1][0]
            else:
                before, after = (self.elements[number - 1][2] if number else element), end
            found.append(Place(value, end, before, after))
        return found


@lru_cache(maxsize=256)
def places(text: str) -> tuple[Place, ...]:
    """Return the places of the values in a text's lists and mappings, as far as these end."""
    found: list[Place] = []
    above: list[_Open] = []
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in "[{":
            above.append(_Open(token.start()))
        elif word in "]}":
            if not above:
                break
            closed = above.pop()
            closed.close_element()
            found += closed.places()
            if above:
                above[-1].add(closed.begin, token.end())
        elif above and word == ",":
            above[-1].close_element()
        elif above and word != ":":
            above[-1].add(token.start(), token.end())
    return tuple(found)
