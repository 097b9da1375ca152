"""What is dropped into a folder must be found, load and fit in: one test per folder, each over all that is in it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

from matrix import checks, registry
from matrix.config import load, selection, tree_words
from matrix.engine import backends, daemons
from matrix.errors import UsageError
from matrix.model.result import CheckResult, Finding, RequirementVerdict, Verdict
from matrix.reports import build as report_of
from matrix.reports import formats
from matrix.scenario import plan
from matrix.trees import sources
from matrix.verdicts.regressions import Gate
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
def test_every_build_says_what_it_expects(name: str) -> None:
    expect = LOADED.builds[name].expect
    assert expect.options if LOADED.builds[name].makes_program else expect.commands


@pytest.mark.parametrize("name", sorted(LOADED.profiles))
def test_every_profile_selects_something(name: str) -> None:
    assert selection.of_profile(LOADED, selection.profile(LOADED, name))


@pytest.mark.parametrize("name", sorted(LOADED.trees))
def test_every_tree_has_a_source_of_a_scheme_that_there_is(name: str) -> None:
    assert LOADED.trees[name].source.partition(":")[0] in tree_words.SCHEMES


@pytest.mark.parametrize("name", sources.schemes())
def test_every_scheme_can_be_asked_for_and_refuses_what_is_not_there(name: str, tmp_path: Path) -> None:
    scheme = sources.schemes()[name]
    assert scheme.form.startswith(f"{name}:")
    assert f"`{scheme.form}`" in (importlib.import_module(f"matrix.trees.sources.{name}").__doc__ or "")
    assert tree_words.tree(LOADED, f"{name}:{scheme.example}").source == f"{name}:{scheme.example}"
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
def test_every_edit_can_be_asked_for_as_a_tree_of_each_kind_that_it_is_for(name: str) -> None:
    edit = LOADED.edits[name]
    trees = [tree for tree in LOADED.trees if any(fnmatchcase(tree, glob) for glob in edit.trees)]
    assert trees
    for tree in trees:
        asked = tree_words.tree(LOADED, f"{tree}+{name}")
        assert (asked.name, asked.source) == (f"{tree}+{name}", LOADED.trees[tree].source)
        [whole] = asked.edits
        others = [tree_words.tree(LOADED, f"{tree}+{other}") for other in edit.includes]
        included = [change for other in others for change in other.edits[0].changes]
        assert (whole.name, whole.includes) == (name, ())
        assert whole.changes == (*included, *edit.changes)
        assert whole.changes


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


FORMATS = sorted(module.name for module in pkgutil.iter_modules(formats.__path__))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_every_verdict_in_lines_that_steer_no_terminal(name: str) -> None:
    bad = Finding(kind="left", subject="/a\x1b[2J", expected="none", actual="<b>", evidence="\x1b")
    found = [
        result(
            f"i/t/b{number}@7.3",
            verdict,
            reason=f"why {number}\x1b[2J",
            checks=(CheckResult(check="clean", verdict=verdict, findings=(bad,)),),
        )
        for number, verdict in enumerate(Verdict)
    ]
    text = formats.registry()[name].render(report_of("r", "/r", ["7.3"], ["i/t/lost@7.3"], found))
    assert text.endswith("\n")
    assert "\x1b" not in text
    for one in found:
        assert one.id in text
        assert str(one.verdict) in text or name in {"junit", "mail"}
    assert "left" in text
    assert "/a" in text
    assert "i/t/lost@7.3" in text


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_renders_a_gate_and_a_run_without_a_cell(name: str) -> None:
    nothing = report_of("r", "/r", ["7.3"], [], [])
    gate = Gate(
        base="b7.2", head="h7.3", held=(), required={"build <= 1": RequirementVerdict(Verdict.FAIL, "1.234 of it")}
    )
    of_gate = nothing.model_copy(update={"gate": gate, "verdict": gate.verdict})
    for report in (nothing, of_gate):
        assert formats.registry()[name].render(report).endswith("\n")
    text = formats.registry()[name].render(of_gate)
    assert "build" in text
    assert "1.234" in text


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_name_of_its_module_and_a_file_of_its_own(name: str) -> None:
    added = formats.registry()
    assert added[name].name == name
    assert re.fullmatch(r"gate\.[a-z]+", added[name].file_name)
    assert [each.file_name for each in added.values()].count(added[name].file_name) == 1


def test_no_module_of_the_formats_is_left_out() -> None:
    assert list(formats.registry()) == FORMATS


@pytest.mark.parametrize("name", registry.names(daemons.__name__))
def test_each_daemon_is_started_by_a_command_line_that_has_its_address(name: str, tmp_path: Path) -> None:
    daemon = importlib.import_module(f"matrix.engine.daemons.{name}").DAEMON
    assert isinstance(daemon, daemons.Daemon)
    site = daemons.Site(tmp_path / "engine.sock", tmp_path / "data", tmp_path)
    words = daemon.command(site)
    assert daemon.program in words
    assert site.address in words
    assert daemon.packages


@pytest.mark.parametrize("name", registry.names(backends.__name__))
def test_every_kind_of_engine_looks_somewhere_and_finds_none_where_nothing_listens(name: str, tmp_path: Path) -> None:
    backend = importlib.import_module(f"matrix.engine.backends.{name}").BACKEND
    assert isinstance(backend, backends.Backend)
    assert all("://" in host for host in backend.hosts())
    assert backend.connect(f"unix://{tmp_path}/nothing.sock", "session") is None
    assert backend.connect("tcp://127.0.0.1:1", "session") is None


def test_every_step_is_owned_by_a_check_so_that_its_failure_is_a_finding() -> None:
    owned = set[str]().union(*(check.owns for check in checks.registry().values()))
    for found in EVERY:
        assert {step.name for step in plan.scenario(found).steps} <= owned
