"""What is dropped into a folder must be found, load and fit in: one test per folder, each over all that is in it."""

from __future__ import annotations

import importlib
import pkgutil
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from matrix import checks, reports
from matrix.config import load, selection
from matrix.engine import backends
from matrix.errors import UsageError
from matrix.model.result import Verdict
from matrix.reports import build as report_of
from matrix.scenario import plan
from matrix.trees import sources
from tests.unit.conftest import build, cell, result

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.cell import Cell

ROOT = load.resources()
LOADED = load.load()
EVERY = selection.every(LOADED, LOADED.trees.values())
FOLDERS = {
    "images": ROOT / "containers",
    "builds": ROOT / "configs/builds",
    "trees": ROOT / "configs/trees",
    "profiles": ROOT / "configs/profiles",
    "claims": ROOT / "configs/claims",
}
FAULTS = {name: edit for name, edit in LOADED.edits.items() if edit.expect}
FILES = [(kind, path) for kind, folder in FOLDERS.items() for path in sorted(folder.iterdir())]


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda value: getattr(value, "stem", value))
def test_every_file_of_the_configuration_loads_under_its_own_name(kind: str, path: Path) -> None:
    assert path.suffix == ".yaml"
    found = getattr(LOADED, kind)[path.stem]
    assert found.name == path.stem
    assert found.summary


@pytest.mark.parametrize("name", sorted(LOADED.builds))
def test_every_build_has_a_cell(name: str) -> None:
    assert any(one.build.name == name for one in EVERY)


@pytest.mark.parametrize("name", sorted(LOADED.builds))
def test_every_build_says_which_options_it_expects(name: str) -> None:
    assert LOADED.builds[name].expect.options


@pytest.mark.parametrize("name", sorted(LOADED.profiles))
def test_every_profile_selects_something(name: str) -> None:
    assert selection.of_profile(LOADED, selection.profile(LOADED, name))


@pytest.mark.parametrize("name", sorted(LOADED.trees))
def test_every_tree_has_a_source_of_a_scheme_that_there_is(name: str) -> None:
    assert LOADED.trees[name].source.partition(":")[0] in selection.SCHEMES


@pytest.mark.parametrize("name", sources.schemes())
def test_every_scheme_can_be_asked_for_and_refuses_what_is_not_there(name: str, tmp_path: Path) -> None:
    scheme = sources.schemes()[name]
    assert scheme.form.startswith(f"{name}:")
    assert f"`{scheme.form}`" in (importlib.import_module(f"matrix.trees.sources.{name}").__doc__ or "")
    assert selection.tree(LOADED, f"{name}:{scheme.example}").source == f"{name}:{scheme.example}"
    with pytest.raises(UsageError) as caught:
        sources.open_source(f"{name}:{tmp_path}/nowhere@nothing", None, print)  # type: ignore[arg-type] # not needed
    assert caught.value.hint


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_names_cells_that_there_are_and_findings(name: str) -> None:
    expect = FAULTS[name].expect
    assert expect
    assert set(expect.cells) <= {one.id.partition("@")[0] for one in EVERY}
    assert any(fnmatchcase(tree, glob) for tree in LOADED.trees for glob in FAULTS[name].trees)
    assert all(":" in glob for glob in expect.findings) or FAULTS[name].equivalent
    assert expect.evidence or not any(glob.startswith("step-failed:") for glob in expect.findings)


def test_there_is_a_fault_for_every_check() -> None:
    assert {edit.expect.check for edit in FAULTS.values() if edit.expect} == set(checks.registry())


def test_every_patch_of_the_series_is_undone_by_an_edit_and_has_a_claim() -> None:
    assert {edit.undoes for edit in LOADED.edits.values()} >= set(range(1, 15)) - {5}
    assert {claim.patch for claim in LOADED.claims.values()} == set(range(15))


@pytest.mark.parametrize("name", sorted(LOADED.claims))
def test_every_claim_is_decided_in_a_cell_that_there_is(name: str) -> None:
    by = LOADED.claims[name].decided_by
    assert by is None or by.cell in {one.id.partition("@")[0] for one in EVERY}


def test_there_are_faults_enough() -> None:
    assert len(FAULTS) >= 60


@pytest.mark.parametrize("name", sorted(LOADED.edits))
def test_every_edit_can_be_asked_for_as_a_tree(name: str) -> None:
    for tree in LOADED.trees:
        if any(fnmatchcase(tree, glob) for glob in LOADED.edits[name].trees):
            assert selection.tree(LOADED, f"{tree}+{name}").edits[0].changes


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.id)
def test_every_cell_can_be_planned(one: Cell) -> None:
    assert plan.scenario(one).cell is one
    assert len({one.id for one in EVERY}) == len(EVERY)


CHECKS = sorted(module.name for module in pkgutil.iter_modules(checks.__path__))
STEPS = {
    step.name
    for what in (build(), build(start_method="fork"), build(out_of_tree=True))
    for step in plan.scenario(cell(what=what)).steps
}


@pytest.mark.parametrize("module", CHECKS)
def test_every_check_has_a_name_a_summary_and_steps_that_there_are(module: str) -> None:
    check = importlib.import_module(f"matrix.checks.{module}").CHECK
    assert checks.registry()[check.name] is check
    assert check.summary
    assert {*check.owns, *check.needs} <= STEPS
    assert check.owns or check.needs
    assert checks.steps([check.name]) == {*check.owns, *check.needs}
    assert not set(check.owns) & set(check.needs)


def test_no_two_checks_have_one_name() -> None:
    assert len(checks.registry()) == len(CHECKS)


def test_every_step_is_some_checks_own() -> None:
    owned = [step for check in checks.registry().values() for step in check.owns]
    assert sorted(owned) == sorted(STEPS)


@pytest.mark.parametrize("name", sorted(reports.formats()))
def test_every_format_renders_every_verdict(name: str) -> None:
    found = [result(f"i/t/b{number}@7.3", verdict) for number, verdict in enumerate(Verdict)]
    text = reports.formats()[name](report_of("r", "/r", ["7.3"], [], found))
    assert all(one.id in text for one in found)


@pytest.mark.parametrize("module", sorted(module.name for module in pkgutil.iter_modules(backends.__path__)))
def test_every_engine_connects(module: str) -> None:
    assert callable(importlib.import_module(f"matrix.engine.backends.{module}").connect)
