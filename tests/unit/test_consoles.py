"""Every console of rich's obeys no markup: a name in brackets, as `a[/b]`, would be a traceback."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "matrix"
MODULES = sorted(PACKAGE.rglob("*.py"))
OBEYS_NOTHING = {"markup": False, "emoji": False, "highlight": False}


def calls(module: Path, name: str) -> list[ast.Call]:
    """Return the calls of a function or method of this name."""
    found = (node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call))
    return [call for call in found if name in (getattr(call.func, "id", ""), getattr(call.func, "attr", ""))]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_console_takes_nothing_in_a_text_for_an_order(module: Path) -> None:
    for call in calls(module, "Console"):
        given = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
        assert given.items() >= OBEYS_NOTHING.items(), f"{module}:{call.lineno}"


@pytest.mark.parametrize("module", sorted(PACKAGE.glob("reports/tables/[!_]*.py")), ids=str)
def test_a_table_is_filled_through_the_function_that_makes_its_cells_text(module: Path) -> None:
    assert [call.lineno for call in calls(module, "add_row") if isinstance(call.func, ast.Attribute)] == []
