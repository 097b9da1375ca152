"""The import direction: model <- pure core <- effects."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import matrix

PACKAGE = Path(matrix.__file__).parent
EFFECTS = {
    "agent_volume", "cellrun", "cli", "edited", "engines", "explain", "git", "images", "inspect_cell", "launch",
    "lineup", "obtain", "patches", "planting", "plugin", "private_engine", "redo", "runner", "scratch", "sources",
    "trees",
}  # fmt: skip
PURE = {
    "account", "agreement", "archive", "bundle", "cells", "checks", "claims", "comparison", "declared", "derived",
    "edits", "elf", "gate", "gitignore", "incremental", "ingredients", "jobgraph", "judge", "makers", "model",
    "mutants", "observe", "paired", "plan", "redaction", "reports", "reproduction", "requirement", "result", "series",
    "simulate", "slots", "strict", "timed", "timeline", "transcript", "views",
}  # fmt: skip
MODULES = sorted(path.relative_to(PACKAGE.parent).with_suffix("").as_posix() for path in PACKAGE.rglob("*.py"))


def name_of(module: str) -> str:
    return module.replace("/", ".").removesuffix(".__init__")


def part_of(name: str) -> str:
    """Return `checks` of `matrix.checks.build`."""
    return name.partition(".")[2].partition(".")[0]


def is_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(module: str, *, typing: bool) -> set[str]:
    """Return the modules that one imports when it runs or, with `typing`, for its annotations alone."""
    tree = ast.parse((PACKAGE.parent / f"{module}.py").read_text())
    inside = {id(node) for block in ast.walk(tree) if is_typing(block) for node in ast.walk(block)}
    found = set()
    for node in ast.walk(tree):
        if (id(node) in inside) is not typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} has a relative import"
            found |= {
                f"{node.module}.{alias.name}" if node.module == "matrix" else str(node.module) for alias in node.names
            }
    return found


def ours(names: set[str]) -> set[str]:
    return {part_of(name) for name in names if name.startswith("matrix.")}


PURE_MODULES = [module for module in MODULES if part_of(name_of(module)) in PURE]


def test_every_pure_module_is_there() -> None:
    assert {part_of(name_of(module)) for module in PURE_MODULES} == PURE


def test_the_model_imports_nothing_of_ours() -> None:
    assert ours(imported("matrix/model", typing=False) | imported("matrix/model", typing=True)) == set()


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_imports_no_effect(module: str) -> None:
    assert not ours(imported(module, typing=False)) & (EFFECTS | {"store", "session", "config"})
    assert not ours(imported(module, typing=True)) & EFFECTS


def test_what_a_pure_module_imports_brings_no_effect_with_it() -> None:
    graph: dict[str, set[str]] = {}
    for module in MODULES:
        graph.setdefault(part_of(name_of(module)), set()).update(ours(imported(module, typing=False)))
    reached, waiting = set(), sorted(PURE)
    while waiting:
        part = waiting.pop()
        if part not in reached:
            reached.add(part)
            waiting += graph.get(part, ())
    assert not reached & EFFECTS


@pytest.mark.parametrize("module", MODULES)
def test_only_the_docker_engine_imports_docker(module: str) -> None:
    found = imported(module, typing=False) | imported(module, typing=True)
    docker = {name for name in found if name.split(".")[0] == "docker"}
    assert not docker or module.startswith("matrix/engines/docker/")


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_imports_nothing_that_talks_to_the_world(module: str) -> None:
    world = {"subprocess", "socket", "requests", "urllib", "http", "shutil", "tempfile", "threading", "time"}
    assert not {name.split(".")[0] for name in imported(module, typing=False)} & world


def test_the_agent_needs_the_standard_library_alone() -> None:
    found = {name.split(".")[0] for name in imported("matrix/agent", typing=False)}
    assert found <= {
        "concurrent", "ctypes", "hashlib", "json", "multiprocessing", "os", "re", "signal", "stat", "sys", "threading",
        "time", "typing",
    }  # fmt: skip
