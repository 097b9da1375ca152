"""Mutations of an input, by a random generator that a driver gives: the same generator makes the same input."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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


def mutated(target: Target, random: Random) -> bytes:
    """Return a seed of a target with a few changes, or random bytes."""
    if random.randrange(20) == 0:
        return random.randbytes(random.randrange(64))
    return changed(target, random.choice(target.seeds), random)


def changed(target: Target, data: bytes, random: Random) -> bytes:
    """Return an input with a few changes."""
    found = data
    for _ in range(1 + random.randrange(4)):
        if target.is_json and random.randrange(3):
            found = _json_changed(found, random)
        else:
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


def _json_changed(data: bytes, random: Random) -> bytes:
    """Return a JSON text with one value changed: another value, one of the text's own, none, or a deeper one."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places = list(_places(value))
    if not places:
        return json.dumps(random.choice(_VALUES)).encode()
    where, key = random.choice(places)
    if random.randrange(6) == 0:
        del where[key]
    else:
        where[key] = _other(where[key], places, random)
    return json.dumps(value).encode()


def _places(value: Any) -> Any:
    """Yield each container of a JSON value with each of its keys."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _other(value: Any, places: list[Any], random: Random) -> Any:
    kind = random.randrange(4)
    if kind == 0:
        container, key = random.choice(places)
        return json.loads(json.dumps(container[key]))
    if kind == 1 and isinstance(value, str):
        return value + random.choice(("\n", "\0", "²", "/..", "\ud800", "*", "@", " ", "a" * 300))
    if kind == 2 and random.randrange(8) == 0:
        return _nested(value, random.choice((10, 150, 190, 300, 600)))
    return random.choice(_VALUES)


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value
