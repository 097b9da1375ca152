from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix.config import load, selection
from matrix.config.selection import Selection
from matrix.errors import ExitStatus, UsageError
from matrix.runs.run_kind import SeriesRun
from matrix.series import run as series_run
from matrix.series.run import SeriesRequest
from matrix.verdicts.series import Break, PatchTree
from tests.unit.conftest import tree
from tests.unit.series.conftest import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.series.run import BegunSeries
    from tests.unit.series.conftest import FakeAccess, FakeComplete, Repository

PLACE, OTHER = "debian-trixie-min/gcc/minimal", "debian-trixie/gcc/static"


def request(repository: Repository, **more: object) -> SeriesRequest:
    asked = SeriesRequest(
        repository.series, (repository.commits[0],), repository.folder, selection=Selection(select=(PLACE, OTHER)),
        each=PLACE,
    )  # fmt: skip
    return replace(asked, **more)  # type: ignore[arg-type] # fields by name


def begun(repository: Repository, access: FakeAccess, **more: object) -> BegunSeries:
    return series_run.begin(request(repository, **more), load.load(), 1, 2, access)


def trees_of(found: BegunSeries, place: str) -> list[str]:
    return [cell_id.tree for cell_id in found.run.settings().cells if cell_id.place == place]


def test_every_patch_that_is_built_is_run_in_one_cell_and_the_end_of_the_series_in_all(
    repository: Repository, access: FakeAccess
) -> None:
    found = begun(repository, access)
    assert trees_of(found, PLACE) == ["base", "p01", "p03", "p04"]
    assert trees_of(found, OTHER) == ["base", "p04"]
    headings = [line.partition(":")[0] for line in access.said.splitlines() if " " in line]
    assert headings[0] == "preparing the base"
    assert "applying the patches to" in access.said.replace("\n", " ")
    assert "4 patches applied to" in access.said
    assert "looking for patches whose builds can continue from a kept build" in access.said
    settings = found.run.settings()
    assert (settings.base, settings.trees) == ("base", ("base", "p01", "p02", "p03", "p04"))
    assert isinstance(settings.kind, SeriesRun)
    assert [patch.subject for patch in settings.kind.patches] == list(SUBJECTS)
    configured = load.load([Path(folder) for folder in settings.configs])
    assert set(settings.trees) <= set(configured.trees)
    assert series_run.resume(found.run) == found


def test_an_exhaustive_series_runs_every_patch_everywhere_from_scratch(
    repository: Repository, access: FakeAccess
) -> None:
    found = begun(repository, access, exhaustive=True)
    assert trees_of(found, OTHER) == trees_of(found, PLACE) == ["base", "p01", "p02", "p03", "p04"]
    kind = found.run.settings().kind
    assert isinstance(kind, SeriesRun)
    assert {patch.may_go_on_with for patch in kind.patches} == {""}


def test_patches_that_are_looked_at_alone_have_no_end_of_a_series(repository: Repository, access: FakeAccess) -> None:
    found = begun(repository, access, alone=True)
    assert trees_of(found, PLACE) == ["base", "a01", "a03", "a04"] or trees_of(found, PLACE)[-1] == "base"
    assert trees_of(found, OTHER) == []
    assert "applying each patch by itself" in access.said


def test_without_a_glob_every_patch_is_run_in_the_first_cell_that_was_selected() -> None:
    config = load.load()
    trees = {name: tree(name) for name in ("base", "p01", "p02")}
    configured = replace(config, trees={**config.trees, **trees})
    patches = [PatchTree(number=number, subject="s", tree=f"p0{number}") for number in (1, 2)]
    asked = SeriesRequest("", (), selection=Selection(select=("debian-*/gcc/minimal",)))
    cells = series_run.cells_to_run(asked, patches, configured)
    walked = {cell.place for cell in cells if cell.tree.name == "p01"}
    profile = selection.profile(configured, "gate")
    first = selection.of_profile(configured, profile, ["base"], asked.selection.select)[0]
    assert walked == {first.place}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"without": frozenset({9})}, "--without 9: the series has no such patch\n  The series has 4."),
        ({"without": frozenset({1, 2, 3, 4})}, "--without leaves no patch"),
        ({"without": frozenset({1, 3, 4})}, "no patch changes anything that perf is built from"),
        ({"each": "nothing"}, "'nothing' selects no cell"),
    ],
)
def test_a_series_that_cannot_be_run_is_refused(
    repository: Repository, access: FakeAccess, more: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as told:
        begun(repository, access, **more)
    assert message in str(told.value)


def test_a_patch_is_left_out(repository: Repository, access: FakeAccess) -> None:
    assert trees_of(begun(repository, access, without=frozenset({3})), PLACE) == ["base", "p01", "p04"]
    assert "3 patches applied" in access.said


def test_the_search_names_the_first_bad_patch_of_each_cell(
    repository: Repository, access: FakeAccess, completes: Callable[..., FakeComplete]
) -> None:
    fake = completes(broken={"p03": ("/a",), "p04": ("/a",)})
    found = begun(repository, access)
    series_run.complete(found, 1, access)
    result = series_run.result(found)
    assert {(broken.cell, broken.keys, broken.suspects) for broken in result.breaks} == {
        (PLACE, ("clean left:/a",), (3,)), (OTHER, ("clean left:/a",), (3,)),
    }  # fmt: skip
    assert fake.rounds[1:] == [["p03"], ["p01"]]
    assert "looking for the first patch: debian-trixie/gcc/static@p03" in access.said
    assert (result.exit_status, result.base) == (ExitStatus.CELLS_FAILED, repository.commits[0])


def test_a_series_that_breaks_nothing_is_not_searched(
    repository: Repository, access: FakeAccess, completes: Callable[..., FakeComplete]
) -> None:
    fake = completes()
    found = begun(repository, access)
    series_run.complete(found, 1, access)
    assert len(fake.rounds) == 1
    assert series_run.result(found).exit_status == ExitStatus.OK


def test_patches_that_are_looked_at_alone_are_not_searched(
    repository: Repository, access: FakeAccess, completes: Callable[..., FakeComplete]
) -> None:
    fake = completes(broken={"a04": ("/a",)})
    found = begun(repository, access, alone=True)
    series_run.complete(found, 1, access)
    assert len(fake.rounds) == 1
    assert [row.step.number for row in series_run.result(found).rows if row.verdict == "FAIL"] == [4]


def test_what_differs_from_the_build_that_it_went_on_with_is_built_from_scratch(
    repository: Repository, access: FakeAccess, completes: Callable[..., FakeComplete]
) -> None:
    fake = completes(continued={"p01": "base"}, hidden={"p01": ("/hidden",)})
    found = begun(repository, access)
    series_run.complete(found, 1, access)
    assert fake.rounds[1:] == [["p01"]]
    assert f"once more, from scratch: {PLACE}@p01" in access.said
    kind = found.run.settings().kind
    assert isinstance(kind, SeriesRun)
    assert kind.patches[0].may_go_on_with == ""
    assert series_run.result(found).breaks == ()


def test_where_a_cell_in_between_cannot_be_run_the_suspects_are_several(
    repository: Repository, access: FakeAccess, completes: Callable[..., FakeComplete]
) -> None:
    completes(broken={"p04": ("/a",)}, failed=frozenset({"p03"}))
    found = begun(repository, access)
    series_run.complete(found, 1, access)
    [one, *_] = [broken for broken in series_run.result(found).breaks if broken.cell == PLACE]
    assert one == Break(cell=PLACE, keys=("clean left:/a",), suspects=(3, 4))
