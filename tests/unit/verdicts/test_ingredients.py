from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matrix.model.cell import Limits
from matrix.model.tree import Delta
from matrix.verdicts.ingredients import compare_ingredients
from tests.unit import conftest as make
from tests.unit.results import done, edited

if TYPE_CHECKING:
    from matrix.model.result import CellResult


def rows(then: CellResult, now: CellResult) -> dict[str, tuple[str, str]]:
    return {row.name: (row.same, row.note) for row in compare_ingredients(then, now)}


def test_what_is_equal_is_the_same_and_what_is_not_said_is_unknown() -> None:
    found = rows(done(), done())
    assert {name for name, (same, _) in found.items() if same == "unknown"} == {"storage", "architecture", "processors"}
    assert not [name for name, (same, note) in found.items() if same == "differs" or note]
    assert set(found) == {
        "tool version", "base image", "image digest", "packages", "tree sha256", "tree version", "tree's origin",
        "image recipe", "toolchain gcc", "build", "tree's description", "edits", "patches", "environment", "limits",
        "make's jobs", "kernel BTF sha256", "engine", "storage", "kernel", "architecture", "processors",
    }  # fmt: skip
    bare = done(image=None, tree=None, host={}, jobs=0, definition=None)
    unknown = {name for name, (same, _) in rows(done(), bare).items() if same == "unknown"}
    assert {"base image", "image digest", "packages", "tree sha256", "make's jobs", "engine"} <= unknown
    assert "build" not in rows(done(), bare)
    assert rows(bare, done())["packages"][0] == "unknown"


def test_a_bootstrapped_base_has_nothing_to_compare() -> None:
    image = done().image
    assert image is not None
    then = done(image=image.model_copy(update={"base": "mmdebstrap trixie"}))
    assert rows(then, then)["base image"] == (
        "unknown", "it was bootstrapped, so there is no digest to compare: the packages say more"
    )  # fmt: skip


def changed(**more: Any) -> dict[str, tuple[str, str]]:
    return {name: row for name, row in rows(done(), done(**more)).items() if row[0] == "differs"}


def test_what_differs_is_named() -> None:
    then = done()
    assert then.image is not None
    assert then.tree is not None
    new = {"gcc": "15", "make": "4.4", "flex": "2"}
    image = then.image.model_copy(update={"digest": "sha256:3", "packages": new})
    assert changed(image=image) == {
        "image digest": ("differs", "an image that is built anew has another one: the packages say more"),
        "packages": ("differs", "flex: none > 2; gcc: 14 > 15"),
    }
    [packages] = [row for row in compare_ingredients(then, done(image=image)) if row.name == "packages"]
    assert (packages.then, packages.now) == ("2 packages", "3, 1 of them the same")
    many = then.image.model_copy(update={"packages": {f"p{number}": "1" for number in range(10)}})
    assert changed(image=many)["packages"][1].endswith("; and 4 more")
    tree = then.tree.model_copy(update={"origin": "elsewhere"})
    assert changed(tree=tree) == {"tree's origin": ("differs", "its sha256 says more")}
    assert changed(limits=Limits(pids=100)) == {"limits": ("differs", "pids: 2048 > 100")}
    assert changed(environment={**then.environment, "TZ": "X"}) == {"environment": ("differs", "TZ: UTC > X")}
    assert changed(tool_version="1", jobs=3).keys() == {"tool version", "make's jobs"}


def test_what_differs_of_a_definition_is_named_by_its_keys() -> None:
    image = make.image(toolchains={"gcc": {"CC": "gcc-15"}}, setup=("true",))
    cell = make.cell(of=image, what=make.build(make={"V": "1"}, goals=("all",)), on=make.tree(string_unit=True))
    found = changed(definition=cell)
    assert found["image recipe"] == ("differs", "in setup, toolchains")
    assert found["toolchain gcc"] == ("differs", "CC: none > gcc-15")
    assert found["build"] == ("differs", "in make, goals")
    assert found["tree's description"] == ("differs", "in string_unit")
    renamed = make.cell(what=make.build("other"))
    assert not changed(definition=renamed)
    delta = Delta(repository="r", base="1", commit="2", sha256="0")
    assert changed(definition=edited(delta=delta)).keys() == {"edits", "patches"}


def test_patches_that_make_the_same_tree_are_the_same_whatever_their_commits_are_called() -> None:
    def patched(commit: str, sha256: str) -> CellResult:
        delta = Delta(repository="r", base="1", commit=commit, sha256="0")
        result = done(make.cell(on=make.tree("p01", delta=delta)))
        assert result.tree
        return result.model_copy(update={"tree": result.tree.model_copy(update={"sha256": sha256})})

    def row(then: CellResult, now: CellResult) -> str:
        return next(row.same for row in compare_ingredients(then, now) if row.name == "patches")

    assert row(patched("2", "5"), patched("3", "5")) == "same"
    assert row(patched("2", "5"), patched("3", "6")) == "differs"
    assert row(patched("2", "5"), patched("2", "6")) == "same"
