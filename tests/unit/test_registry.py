from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix import registry

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Return the name of a package of two modules, each of which adds a number."""
    name = f"added_by_{abs(hash(request.node.name))}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "two.py").write_text("ADDED = 2\n")
    (folder / "one.py").write_text("ADDED = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_each_module_of_a_folder_adds_one_thing(package: str) -> None:
    assert list(registry.load(package, "ADDED", int).items()) == [("one", 1), ("two", 2)]


def test_a_module_that_adds_something_else_is_named(package: str) -> None:
    with pytest.raises(TypeError, match=r"\.one: ADDED must be of type str, not int"):
        registry.load(package, "ADDED", str)
    with pytest.raises(TypeError, match=r"\.one: OTHER must be of type int, not NoneType"):
        registry.load(package, "OTHER", int)


def test_the_names_of_a_folders_modules_are_told_without_importing_them(package: str, tmp_path: Path) -> None:
    (tmp_path / package / "broken.py").write_text("no Python\n")
    assert registry.names(package) == ("broken", "one", "two")


@pytest.mark.parametrize("name", ["nothing_of_that_name", "json.decoder"])
def test_what_is_no_package_has_no_names(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"no package {name}"):
        registry.names(name)
