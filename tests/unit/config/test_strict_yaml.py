from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from pydantic import BaseModel

from matrix import errors
from matrix.config import load, strict_yaml
from matrix.errors import UsageError
from matrix.model.build import Build
from matrix.model.image import Image

if TYPE_CHECKING:
    from pathlib import Path


class Leaf(BaseModel):
    model_config = {"extra": "forbid", "strict": True}
    colour: str = ""


class Branch(BaseModel):
    model_config = {"extra": "forbid", "strict": True}
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    count: int = 0


def mistakes(model: type[BaseModel], data: object) -> list[str]:
    with pytest.raises(UsageError) as caught:
        strict_yaml.parse(model, data, "file.yaml")
    return str(caught.value).splitlines()


def read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "file.yaml"
    path.write_text(text, encoding="utf-8")
    return strict_yaml.read(path)


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], ids=["libyaml", "Python"])
def events(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read YAML by the parser of libyaml, or by that of a PyYAML that was built without it."""
    monkeypatch.setattr(strict_yaml, "_Events", getattr(yaml, request.param))


@pytest.mark.usefixtures("events")
def test_the_products_files_are_the_same_by_either_parser(tmp_path: Path) -> None:
    for path in sorted((load.resources() / "configs").rglob("*.yaml")):
        text = path.read_text()
        assert read(tmp_path, text) == yaml.safe_load(text)


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1\n", 2),
        ("a: b: c\n", 1),
        ("\tx: 1\n", 1),
        ("a: 1\n  b: 2\n", 2),
        ("a: &b {<<: *b}\n", 1),
        ("a: 1\na: 2\n", 2),
        ("a: 1\n1: 2\n", 2),
        ("a: *b\n", 1),
        ("a: 1\n---\nb: 1\n", 2),
        ("a: " + "[" * 60 + "\n", 1),
        ("a: !!python/object:os.system x\n", 1),
    ],
)
def test_what_is_wrong_is_told_with_its_line_by_either_parser(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(UsageError, match=rf"file\.yaml: line {line}: "):
        read(tmp_path, text)


def test_a_document_is_plain_values(tmp_path: Path) -> None:
    assert read(tmp_path, "a: [1, two, true]\nb: {c: null}\n") == {"a": [1, "two", True], "b": {"c": None}}


def test_a_date_stays_the_string_that_it_is(tmp_path: Path) -> None:
    assert read(tmp_path, "day: 2026-01-02\n") == {"day": "2026-01-02"}


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [("a: 1\nb: 2\na: 3\n", 1, 3), ("top:\n  x: 1\n  x: 2\n", 2, 3)],
)
def test_a_key_given_twice_is_refused_with_both_lines(tmp_path: Path, text: str, first: int, second: int) -> None:
    with pytest.raises(UsageError, match=rf"line {second}: duplicate key '\w' \(first on line {first}\)"):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ["a: [1\n", "a: b: c\n", "\tx: 1\n", "a: \x01\n", "a: &b {<<: *b}\n"])
def test_what_is_no_yaml_is_refused_naming_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"file\.yaml: "):
        read(tmp_path, text)


@pytest.mark.parametrize("text", ["? [a, b]\n: 1\n", "{{a: 1}: 2}\n"])
def test_a_list_or_mapping_as_a_key_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"file\.yaml: "):
        read(tmp_path, text)


@pytest.mark.parametrize("key", ["NO", "1.10", "~"])
def test_a_key_that_yaml_does_not_take_for_a_string_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError):
        strict_yaml.parse(Build, read(tmp_path, f"name: b\nsummary: s\nmake: {{{key}: '1'}}\n"), "file.yaml")


def test_keys_that_become_equal_as_strings_are_duplicates(tmp_path: Path) -> None:
    text = "name: b\nsummary: s\nexpect: {options: {1: 'on', '1': 'OFF'}}\n"
    with pytest.raises(UsageError):
        strict_yaml.parse(Build, read(tmp_path, text), "file.yaml")


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    with pytest.raises(UsageError, match="cannot be read"):
        strict_yaml.read(path)
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(UsageError, match="cannot be read"):
        strict_yaml.read(path)


def test_lists_and_mappings_become_the_model() -> None:
    data = {"name": "b", "summary": "s", "make": {"A": "1"}, "requires": ["x"], "expect": {"linkage": "static"}}
    build = strict_yaml.parse(Build, data, "file.yaml")
    assert (build.make, build.requires, build.expect.linkage) == ({"A": "1"}, ("x",), "static")


@pytest.mark.parametrize(
    ("data", "found"),
    [(None, "nothing (null)"), ([1], "a list ([1])"), ("x", '"x"'), (3, "a number (3)")],
)
def test_a_document_that_is_no_mapping_is_refused(data: object, found: str) -> None:
    assert mistakes(Build, data) == [f"file.yaml: expected keys and values, found {found}"]


@pytest.mark.parametrize(
    ("value", "found"),
    [(False, "true or false (false)"), (1.1, "a number (1.1)"), (7, "a number (7)"), (None, "nothing (null)")],
)
def test_what_yaml_does_not_read_as_a_string_is_refused_where_a_string_belongs(value: object, found: str) -> None:
    [line] = mistakes(Build, {"name": "b", "summary": "s", "make": {"A": value}})
    assert line == f"file.yaml: key 'make.A': expected a valid string, found {found}; quote it (\"…\")"


def test_only_a_string_is_to_be_quoted() -> None:
    [line] = mistakes(Branch, {"count": "7"})
    assert line == "file.yaml: key 'count': expected a valid integer, found \"7\""


def test_an_unknown_key_comes_with_the_one_that_was_meant() -> None:
    assert mistakes(Build, {"name": "b", "summary": "s", "sumary": "t"}) == [
        "file.yaml: unknown key 'sumary'; did you mean 'summary'?"
    ]


def test_an_unknown_key_that_is_near_none_comes_with_all_that_there_are() -> None:
    assert mistakes(Leaf, {"zzz": 1}) == ["file.yaml: unknown key 'zzz'; there is colour"]


def test_an_unknown_key_inside_a_model_is_compared_with_that_models_keys() -> None:
    assert mistakes(Branch, {"leaf": {"color": ""}}) == ["file.yaml: unknown key 'leaf.color'; did you mean 'colour'?"]


def test_an_unknown_key_inside_a_list_is_named() -> None:
    [line] = mistakes(Branch, {"leaves": [{"color": ""}]})
    assert line.startswith("file.yaml: unknown key 'leaves.0.color'")


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    lines = mistakes(Image, {"name": "Bad Name", "pakages": [], "base": {"pull": 1}})
    assert len(lines) == 6
    text = "\n".join(lines)
    assert "key 'summary' is missing" in text
    assert "unknown key 'pakages'; did you mean 'packages'?" in text
    assert "key 'base.pull': expected a valid string, found a number (1)" in text


def test_a_value_that_holds_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"file\.yaml: line 1: an alias that stands for what it is in"):
        strict_yaml.parse(Build, read(tmp_path, "a: &a [*a]\n"), "file.yaml")


def test_a_value_of_a_type_that_no_file_has_is_refused() -> None:
    assert mistakes(Build, {"name": {1, 2}})[0].startswith("file.yaml: ")


def test_a_word_without_choices_has_no_hint() -> None:
    assert errors.did_you_mean("x", []) == ""
