"""Strict YAML: a duplicate key or a value of another type than its field's is a mistake, and all mistakes are found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from matrix.errors import UsageError, did_you_mean, from_system

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from pydantic_core import ErrorDetails

T = TypeVar("T", bound=BaseModel)


# Bounds far above those of any configuration, whose largest file has 9 kB and 6 levels: a folder of it may be a
# stranger's, and an alias stands for all that its anchor has, so that ten lines can mean a billion values.
FILE_BYTES = 256 << 10
VALUES = 100_000
DEPTH = 50
NUMBER_CHARS = 100
_SCALAR_TEXT = "tag:yaml.org,2002:str"


_Events = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser of events: libyaml's, in a sixth of the time, where PyYAML was built with it, as its wheels are."""


class _Loader(Composer, SafeConstructor, Resolver):
    """A SafeLoader that refuses duplicate keys and keys that are no strings, and reads dates as strings.

    PyYAML keeps the last of two duplicate keys: https://github.com/yaml/pyyaml/issues/165
    """

    def __init__(self, stream: str) -> None:
        for part in (Composer, SafeConstructor, Resolver):
            part.__init__(self)
        events = _Events(stream)
        self.check_event, self.peek_event, self.get_event = events.check_event, events.peek_event, events.get_event
        self._depth = 0
        self._values: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node, after checking that it is within the bounds with all that its aliases stand for."""
        event = self.peek_event()
        if self._depth >= DEPTH:
            raise yaml.composer.ComposerError(None, None, f"more than {DEPTH} levels", event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        assert node is not None
        if isinstance(event, yaml.AliasEvent) and id(node) not in self._values:
            raise _refused("an alias that stands for what it is in", node)
        self._count(node)
        _check_number(node)
        return node

    def _count(self, node: yaml.Node) -> None:
        """Count the values of a node, those of an alias as often as there is one."""
        if id(node) not in self._values:
            self._values[id(node)] = 1 + sum(self._values[id(child)] for child in _children(node))
        if self._values[id(node)] > VALUES:
            raise _refused(f"more than {VALUES} values, those of aliases counted each time", node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: dict[str, yaml.Mark] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _refused(f"a key must be a string, found {key!r}; quote it", key_node)
            if key in seen:
                raise _refused(f"duplicate key {key!r} (first on line {seen[key].line + 1})", key_node)
            seen[key] = key_node.start_mark
        return super().construct_mapping(node, deep)


def _check_number(node: yaml.Node) -> None:
    """Refuse a long word that PyYAML would make a number of, in more time than it has characters."""
    is_number = isinstance(node, yaml.ScalarNode) and node.tag != _SCALAR_TEXT
    if is_number and len(node.value) > NUMBER_CHARS:
        raise _refused(f"a number of more than {NUMBER_CHARS} characters; quote it", node)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _refused(problem: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


# YAML 1.1 makes dates of words like 2026-11-25 (https://yaml.org/type/timestamp.html); no field of a model is a date.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# The names of YAML's types in messages; a text is shown as it is.
_FOUND = {bool: "true or false", int: "a number", float: "a number", type(None): "nothing", list: "a list"}


def read(path: Path) -> Any:
    """Return the YAML document in `path` as plain values (dict, list, str, int, float, bool, None).

    Raises:
        UsageError: the file cannot be read, is no YAML, is beyond a bound of this module, or has a duplicate key, one
            that is no string, or a value of a type that JSON has not.

    """
    try:
        data = _Loader(_text(path)).get_single_data()
        json.dumps(data)
    except OSError as error:
        raise from_system(f"{path}: cannot be read: {error}", "", error) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: {_yaml_message(error)}") from error
    except (TypeError, ValueError, LookupError, AttributeError) as error:  # a tag gave a date, or is not for its value
        raise UsageError(f"{path}: a value is of no type that a configuration has: {error}") from error
    return data


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(FILE_BYTES + 1)
    if len(content) > FILE_BYTES:
        raise UsageError(f"{path}: has more than {FILE_BYTES} bytes", "No file of a configuration is that long.")
    return content.decode()


def _yaml_message(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: {problem}" if mark else problem


def parse(model: type[T], data: Any, source: object) -> T:
    """Return `data` as a value of `model`; `source` is the file's name in messages.

    Raises:
        UsageError: there are mistakes; the message has the key, the found and the expected value of each.

    """
    if not isinstance(data, dict):
        raise UsageError(f"{source}: expected keys and values, found {_found(data)}")
    try:
        # By way of JSON: strict models take a list for a tuple only there, https://docs.pydantic.dev/2.5/concepts/json
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise UsageError(_explained(model, error, source)) from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"{source}: {error}") from error


def _explained(model: type[BaseModel], error: ValidationError, source: object) -> str:
    """Return the sentences for all mistakes of a file, a line each."""
    return "\n".join(f"{source}: {_explain(model, mistake)}" for mistake in error.errors())


def _explain(model: type[BaseModel], mistake: ErrorDetails) -> str:
    """Return the sentence for a mistake that pydantic found.

    The types of mistakes are listed in https://docs.pydantic.dev/latest/errors/validation_errors/.
    """
    location = ".".join(map(str, mistake["loc"]))
    match mistake["type"]:
        case "extra_forbidden":
            fields = _fields_at(model, mistake["loc"][:-1])
            return f"unknown key {location!r}{did_you_mean(str(mistake['loc'][-1]), fields)}"
        case "missing":
            return f"key {location!r} is missing"
        case "value_error" if location:
            return f"key {location!r}: {mistake['msg'].removeprefix('Value error, ')}"
        case "string_type":  # plain YAML reads `no`, `1.10` and `~` as other types
            return f'{_expected(location, mistake)}; quote it ("…")'
    return _expected(location, mistake)


def _expected(location: str, mistake: ErrorDetails) -> str:
    expected = mistake["msg"].removeprefix("Input should be ")
    return f"key {location!r}: expected {expected}, found {_found(mistake['input'])}"


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the field names of the model at a location (`("base", "bootstrap")`) in `model`, or none without one."""
    current: type[BaseModel] | None = model
    for part in location:
        current = _model_of(current, part) if current else None
    return list(current.model_fields) if current else []


def _model_of(model: type[BaseModel], name: int | str) -> type[BaseModel] | None:
    """Return the model in a field's annotation, alone or within `X | None` or a collection; None where it has none."""
    field = model.model_fields.get(str(name))
    annotation = field.annotation if field else None
    return next(filter(_is_model, (annotation, *get_args(annotation))), None)


def _is_model(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _found(value: Any) -> str:
    kind = _FOUND.get(type(value))
    return f"{kind} ({json.dumps(value)})" if kind else json.dumps(value, default=str)


def text(value: BaseModel) -> str:
    """Return the YAML text that gives a value again; fields that are None are left out."""
    data = value.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
