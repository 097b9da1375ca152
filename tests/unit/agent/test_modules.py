from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

import pytest

from tests.unit.agent.running import AGENT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("module", sorted(AGENT.glob("*.py")), ids=lambda path: path.name)
def test_its_syntax_is_that_of_python_3_6(module: Path) -> None:
    ast.parse(module.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("module", sorted(AGENT.glob("*.py")), ids=lambda path: path.name)
def test_it_needs_the_standard_library_and_itself_alone(module: Path) -> None:
    nodes = list(ast.walk(ast.parse(module.read_text())))
    ours = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) if str(node.module)[:6] == "matrix"}
    imports = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {name for node in imports for name in _roots(node)} <= {*sys.stdlib_module_names, "matrix"}
    assert all(name.startswith("matrix.agent") for name in ours)


def _roots(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = [str(node.module)] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return {name.partition(".")[0] for name in names}
