"""The counts of several invocations, and the changes of inputs that nest."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.fuzz import json_text, mutate, records
from tests.fuzz.records import Record
from tests.fuzz.target import Target

if TYPE_CHECKING:
    from pathlib import Path

ONE = Record("a", 0, 10, 1.0, 0.5, (), "mutation")


def test_the_last_line_of_a_seed_counts_and_seeds_add_up(tmp_path: Path) -> None:
    path = tmp_path / "record"
    assert records.read(path) == []
    for record in (ONE, ONE._replace(inputs=20, cpu_s=2.0), ONE._replace(seed=1, inputs=5, failures=("x",))):
        records.append(path, record)
    found = records.read(path)
    assert records.given(found, "a") == 25
    assert records.next_seed(found, "a") == 2
    assert (records.given(found, "b"), records.next_seed(found, "b")) == (0, 0)
    assert [row.split() for row in records.table(found, ["a", "b"])[1:]] == [
        ["a", "25", "8", "0.500", "s", "x"],
        ["b", "0", "-", "-", "0"],
    ]


@pytest.mark.parametrize("depth", [900, 1000, 100_000])
def test_a_text_that_nests_deeper_than_json_writes_is_changed(depth: int) -> None:
    text = b'{"a": ' + b"[" * depth + b"1" + b"]" * depth + b"}"
    target = Target("t", lambda _: None, (text,), is_json=True)
    assert len({mutate.changed(target, text, Random(seed)) for seed in range(50)}) > 1  # noqa: S311 - the same each time


def test_a_value_is_removed_with_its_key_and_a_comma() -> None:
    text = '{"a": [1, {"b": "x,]"}], "c": null}'
    assert {text[: place.before] + text[place.after :] for place in json_text.places(text)} == {
        '{"a": [{"b": "x,]"}], "c": null}',
        '{"a": [1, {}], "c": null}',
        '{"a": [1], "c": null}',
        '{"c": null}',
        '{"a": [1, {"b": "x,]"}]}',
    }
