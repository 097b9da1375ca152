"""Branches a line of the package's functions; cognitive complexity, which counts nesting, is complexipy's in lint."""

from __future__ import annotations

import ast
import re
import statistics
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(matrix.__file__).parent
FEWEST_LINES = 5
MOST_A_LINE = 0.33
"""The mean of well-kept Python projects of this size is 0.17 to 0.22; before the rooms it was 0.46 here."""

_WITH_REASON = re.compile(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)* - \w")
"""The comment that switches a rule of lint off in a line: the rule's name, a dash and the reason."""

_IGNORED_WITH_REASON = re.compile(r"# type: ignore\[[a-z, -]+\] # \w")
"""The same for the types of a line, in mypy's form."""

_BRANCHES = (ast.If, ast.For, ast.While, ast.IfExp, ast.ExceptHandler)


@dataclass(frozen=True)
class Body:
    """The body of a function without its docstring: its lines, and the branches in it."""

    lines: int
    branches: int


def branches(node: ast.AST) -> int:
    """Return the branches in a node itself: a statement, a comprehension and its conditions, further operands."""
    if isinstance(node, _BRANCHES):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return 0


def below(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below one, without those of functions and classes inside of it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            yield child
            yield from below(child)


def bodies(source: str) -> Iterator[Body]:
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef):
            statements = function.body[1:] if ast.get_docstring(function) else function.body
            if statements:
                lines = (statements[-1].end_lineno or 0) - statements[0].lineno + 1
                yield Body(lines, sum(map(branches, below(function))))


def mean_branches_a_line(sources: list[str]) -> float:
    long = [body for source in sources for body in bodies(source) if body.lines >= FEWEST_LINES]
    return statistics.mean(body.branches / body.lines for body in long)


def test_branches_are_counted_as_they_are_read() -> None:
    one = """
def f(a):
    'Doc.'
    if a and a > 1 or a:
        x = [b for b in a if b]
    y = 1
    z = 2
    return x
"""
    assert list(bodies(one)) == [Body(lines=5, branches=1 + 2 + 2)]
    assert mean_branches_a_line([one]) == pytest.approx(1.0)


def texts(source: str) -> Iterator[str]:
    """Yield the docstrings of a module: its own, those of classes and functions, and those below constants."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value.strip()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_docstring_begins_with_a_word_in_place_of_its_subject(path: Path) -> None:
    assert [
        text for text in texts(path.read_text(encoding="utf-8")) if text.startswith(("What ", "That ", "It "))
    ] == []


def comments(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        yield from (token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT)


@pytest.mark.parametrize("folder", ["matrix", "tests", "benchmarks"])
def test_every_check_of_lint_that_is_switched_off_has_its_reason(folder: str) -> None:
    found = [comment for path in (PACKAGE.parent / folder).rglob("*.py") for comment in comments(path)]
    switched_off = [comment for comment in found if comment.startswith("# noqa")]
    assert [comment for comment in switched_off if not _WITH_REASON.match(comment)] == []
    ignored = [comment for comment in found if comment.startswith("# type: ignore")]
    assert [comment for comment in ignored if not _IGNORED_WITH_REASON.match(comment)] == []


def test_the_package_has_few_branches_a_line() -> None:
    sources = [path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))]
    assert mean_branches_a_line(sources) < MOST_A_LINE
