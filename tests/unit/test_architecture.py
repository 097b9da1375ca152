"""docs/architecture.md and the house: the page names what is there, every room in order; a class has its own name."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "matrix"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
GROUND = sorted(path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__"))
SPANS = sorted(set(re.findall(r"`([^`\s]+)`", PAGE)))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = re.findall(r"^`(matrix/[\w/]+)/NAME\.py`[^`]* has an? `([A-Z]+)`", CONTRIBUTING, re.M)
TOPS = ("matrix", "configs", "containers", "tests", "docs")
PATHS = [span for span in SPANS if span.partition("/")[0] in TOPS]
FUNCTIONS = [span for span in SPANS if re.fullmatch(rf"({'|'.join(ROOMS)})(\.\w+)+", span)]


def contract() -> list[list[str]]:
    """Return the layers of the rooms, the uppermost first, as import-linter holds them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    [layers] = [one["layers"] for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    return [[name.strip() for name in re.split(r"[|:]", layer)] for layer in layers]


def drawn() -> list[list[str]]:
    """Return the layers of the drawing: the rooms that a line begins with."""
    drawing = PAGE.partition("```\n")[2].partition("```")[0]
    known = {*ROOMS, *GROUND}
    lines = [
        [word for word in re.split(r"[^\w]+", re.split(r" {3,}", line)[0]) if word in known]
        for line in drawing.splitlines()
    ]
    return [line for line in lines if line]


def named(dotted: str) -> object:
    """Return the function, class or method of a dotted name below `matrix`; every module on its way is imported."""
    words = dotted.split(".")
    at = max(n for n in range(1, len(words)) if module_path(words[:n]))
    module = importlib.import_module(".".join(("matrix", *words[:at])))
    return functools.reduce(getattr, words[at:], module)


def module_path(words: list[str]) -> bool:
    path = PACKAGE.joinpath(*words)
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_the_page_names_much() -> None:
    assert len(PATHS) >= 40
    assert len(FUNCTIONS) >= 30


@pytest.mark.parametrize("path", PATHS)
def test_every_path_is_there(path: str) -> None:
    place = ROOT / path
    if "NAME" in place.name:
        assert any(place.parent.glob(f"*{place.suffix}"))
    else:
        assert place.exists()


@pytest.mark.parametrize("dotted", FUNCTIONS)
def test_every_function_is_there(dotted: str) -> None:
    assert callable(named(dotted))


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_its_line(room: str) -> None:
    assert f"| `matrix/{room}` |" in PAGE


@pytest.mark.parametrize("module", GROUND)
def test_every_module_beside_the_rooms_is_named(module: str) -> None:
    assert f"`matrix/{module}.py`" in PAGE


@pytest.mark.parametrize(("folder", "attribute"), RECIPES)
def test_every_module_of_an_extension_point_adds_what_its_recipe_says(folder: str, attribute: str) -> None:
    names = [module.name for module in pkgutil.iter_modules([str(ROOT / folder)])]
    assert names
    for name in names:
        assert hasattr(importlib.import_module(f"{folder.replace('/', '.')}.{name}"), attribute)


def test_every_extension_point_has_its_recipe() -> None:
    assert len(RECIPES) >= 5  # an empty list is a changed page, and would test nothing
    users = [path for path in PACKAGE.rglob("__init__.py") if re.search(r"\bload\(__name__, ", path.read_text())]
    assert {folder for folder, _ in RECIPES} == {str(path.parent.relative_to(ROOT)) for path in users}


def test_the_drawing_is_the_contract() -> None:
    assert drawn() == contract()


def test_classes_of_one_name_are_one_class() -> None:
    """Private classes, and those inside of functions, included: a name that a reader looks for has one place."""
    modules = {path: ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")}
    places: dict[str, list[str]] = {}
    for path, module in sorted(modules.items()):
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_the_folders_of_extension_points_are_named() -> None:
    inner = {path.parent for path in PACKAGE.glob("*/*/__init__.py")}
    assert [path for path in sorted(inner) if f"`{path.relative_to(ROOT)}`" not in PAGE] == []
