from __future__ import annotations

from pathlib import Path

import pytest

from matrix.config import load, selection, tree_words
from matrix.errors import UsageError
from matrix.model.build import Expect
from matrix.model.cell import Limits
from matrix.model.edit import Edit
from matrix.repro import self_contained_run
from matrix.runs import store
from tests.unit import conftest as make
from tests.unit.results import EDIT

NASTY = (
    "1.10",
    "no",
    "~",
    "2026-01-01",
    "- x",
    "a: b",
    "@name@",
    "#",
    " x ",
    "a\nb\n",
    "\u2028\u0085\x7f\x01é😀",
    "'",
    "",
)


def test_a_cell_is_read_again_as_it_was_whatever_is_in_it(places: Path) -> None:
    words = dict(zip("ABCDEFGHIJKLM", NASTY, strict=True))
    what = make.build(
        make=words, environment=words, perf_tests=NASTY, expect=Expect(options=dict.fromkeys(NASTY, "on"))
    )
    tree = make.tree("dir-1+slow", source="dir:/x", summary="of", edits=(EDIT,), lacks=dict.fromkeys(NASTY, "no"))
    cell = make.cell(of=make.image(toolchains={"gcc": words}, setup=NASTY), what=what, on=tree)
    run, _ = self_contained_run.begin(cell, 3, Limits(pids=99), [])
    settings = run.settings()
    assert settings.cells == (cell.id,)
    assert (settings.jobs, settings.limits.pids) == (3, 99)
    loaded = load.load([Path(folder) for folder in settings.configs])
    assert cell in selection.every(loaded, [tree_words.tree(loaded, word) for word in settings.trees])
    assert sorted(path.name for path in run.folder.iterdir()) == ["configs", "run.json"]
    assert store.runs() == [run]
    assert places in run.folder.parents


def test_what_a_build_extended_is_in_it_already(places: Path) -> None:
    assert places
    cell = make.cell(what=make.build(extends="gone", make={"V": "1"}))
    [own] = self_contained_run.begin(cell, 2, Limits(), [])[0].settings().configs
    assert load.load([Path(own)]).builds["default"].make == {"V": "1"}


def test_a_cell_that_would_be_read_as_another_is_not_run(places: Path) -> None:
    image = make.image()
    needy = make.cell(of=image, what=make.build(requires=("nothing-has-it",)))
    with pytest.raises(UsageError, match="no image provides 'nothing-has-it'"):
        self_contained_run.begin(needy, 2, Limits(), [])
    lacking = make.cell(of=image, what=make.build(requires=("x",)))
    other = places / "more"
    load.write_image(make.image("other", provides=("x",)), other)
    with pytest.raises(UsageError, match="cannot be written as configuration and read again"):
        self_contained_run.begin(lacking, 2, Limits(), [str(other)])
    assert store.runs() == []


def test_a_users_own_configuration_stays(places: Path) -> None:
    more = places / "more"
    (more / "edits").mkdir(parents=True)
    (more / "edits" / "own.yaml").write_text("summary: own\ntrees: ['*']\nchanges: [{file: a, add: x}]\n")
    run, _ = self_contained_run.begin(make.cell(), 2, Limits(), [str(more)])
    loaded = load.load([Path(folder) for folder in run.settings().configs])
    assert isinstance(loaded.edits["own"], Edit)
