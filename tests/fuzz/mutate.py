"""Mutations of an input, by a random generator that a driver gives: the same generator makes the same input."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.fuzz import json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tests.fuzz.target import Target

MOST_BYTES = 1 << 16
"""The longest input: what grows with the size is for `growing`."""

# Pieces that parsers stumble over, whatever their grammar: bounds of integers, digits that are none of ASCII's, bytes
# that are no UTF-8, signs and nesting.
_WORDS = (
    b"", b"\0", b"\n", b"\r\n", b"\r", b" ", b"/", b"..", b"-", b"-1", b"0", b"1" * 20, b"9" * 400, b"9" * 5000,
    b"1e999", b"NaN", b"Infinity", "²".encode(), "٣".encode(), b"\xb2", b"\xff", b"\xed\xa0\x80", b"\\ud800",
    b"\\u0000", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x1b[2J", b"[" * 500, b"{}", b"[]", b'"', b"'", b"\\", b"$(", b"`",
    b"null", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x80\0\0\0\0\0\0\0",
)  # fmt: skip

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, 1e308, -1e308, float("inf"),
    float("nan"), "", "\0", "\ud800", "²", "..", "/", "a" * 5000, "\n", [], {}, [[]], [""], {"": ""}, [0],
)  # fmt: skip

_JSON_VALUES = tuple(map(json.dumps, _VALUES))
_ENDS = tuple(json.dumps(end)[1:] for end in ("\n", "\0", "²", "/..", "\ud800", "*", "@", " ", "a" * 300))


def mutated(target: Target, random: Random) -> bytes:
    """Return a seed of a target with a few changes, or random bytes."""
    if random.randrange(20) == 0:
        return random.randbytes(random.randrange(64))
    return changed(target, random.choice(target.seeds), random)


def changed(target: Target, data: bytes, random: Random) -> bytes:
    """Return an input with a few changes."""
    count = 1 + random.randrange(4)
    of_json = sum(random.randrange(3) > 0 for _ in range(count)) if target.is_json else 0
    found = _json_changed(data, of_json, random) if of_json else data
    for _ in range(count - of_json):
        found = _bytes_changed(found, target, random)
    return found[:MOST_BYTES]


def _bytes_changed(data: bytes, target: Target, random: Random) -> bytes:
    change = random.choice(_CHANGES)
    return change(data, target, random)


def _inserted(data: bytes, target: Target, random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + _word(target, random) + data[at:]


def _replaced(data: bytes, target: Target, random: Random) -> bytes:
    begin, end = _span(data, random)
    return data[:begin] + _word(target, random) + data[end:]


def _removed(data: bytes, _target: Target, random: Random) -> bytes:
    begin, end = _span(data, random)
    return data[:begin] + data[end:]


def _cut(data: bytes, _target: Target, random: Random) -> bytes:
    return data[: random.randint(0, len(data))]


def _repeated(data: bytes, _target: Target, random: Random) -> bytes:
    begin, end = _span(data, random)
    return data[:end] + data[begin:end] * random.choice((1, 2, 7, 100)) + data[end:]


def _flipped(data: bytes, _target: Target, random: Random) -> bytes:
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def _spliced(data: bytes, target: Target, random: Random) -> bytes:
    other = random.choice(target.seeds)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


_CHANGES: Sequence[Callable[[bytes, Target, Random], bytes]] = (
    _inserted, _replaced, _removed, _cut, _repeated, _flipped, _flipped, _spliced,
)  # fmt: skip


def _span(data: bytes, random: Random) -> tuple[int, int]:
    begin = random.randint(0, len(data))
    return begin, min(len(data), begin + random.choice((1, 2, 4, 8, 16, 64, 512)))


def _word(target: Target, random: Random) -> bytes:
    words = target.words if target.words and random.randrange(2) else _WORDS
    return random.choice(words)


def _json_changed(data: bytes, count: int, random: Random) -> bytes:
    """Return a JSON text with some values changed: to another, one of the text's own, none, or a deeper one."""
    text = data.decode("utf-8", "replace")
    places = json_text.places(text)
    if not places:
        return random.choice(_JSON_VALUES).encode()
    end, source = len(text) + 1, _Source(text, places)
    for place in sorted((random.choice(places) for _ in range(count)), reverse=True):
        if place.after < end:  # not within the last change, nor around it
            text = _with_another(text, place, source, random)
            end = place.before
    return text.encode()


def _with_another(text: str, place: json_text.Place, source: _Source, random: Random) -> str:
    if random.randrange(6) == 0:
        return text[: place.before] + text[place.after :]
    return text[: place.begin] + _other(text[place.begin : place.end], source, random) + text[place.end :]


@dataclass(frozen=True)
class _Source:
    """A JSON text before its changes, and the places of its values, which are copied from it."""

    text: str
    places: Sequence[json_text.Place]

    def value(self, random: Random) -> str:
        """Return the JSON text of one of the values."""
        place = random.choice(self.places)
        return self.text[place.begin : place.end]


def _other(value: str, source: _Source, random: Random) -> str:
    """Return the JSON text of another value."""
    kind = random.randrange(4)
    if kind == 0:
        return source.value(random)
    if kind == 1 and value.startswith('"'):
        return f"{value[:-1]}{random.choice(_ENDS)}"
    if kind == 2 and random.randrange(8) == 0:
        depth = random.choice((10, 150, 190, 300, 600))
        return "[" * depth + value + "]" * depth
    return random.choice(_JSON_VALUES)
