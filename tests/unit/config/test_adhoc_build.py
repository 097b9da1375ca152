from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from matrix.cli import app
from matrix.config import adhoc_build, command_line, load
from matrix.config.selection import Selection, selected
from matrix.errors import UsageError
from matrix.model.cell import Limits
from matrix.runs import completion, own_configs, store
from matrix.scenario import plan
from tests.unit.conftest import build, cell

if TYPE_CHECKING:
    from pathlib import Path

WORDS: dict[str, Any] = {
    "make": ["LLVM=1", "EXTRA_CFLAGS=-O0 -g"],
    "environment": ["LANG=de_DE.UTF-8"],
    "goals": ["install", "util/evsel.o"],
}


def made(*, out_of_tree: bool = False, **more: Any) -> Any:
    return adhoc_build.build(**{"make": [], "environment": [], "goals": [], **more}, out_of_tree=out_of_tree)


def test_words_are_a_build_of_which_only_what_they_say_is_expected() -> None:
    found = made(**WORDS, out_of_tree=True)
    assert found.make == {"LLVM": "1", "EXTRA_CFLAGS": "-O0 -g"}
    assert (found.environment, found.goals) == ({"LANG": "de_DE.UTF-8"}, ("install", "util/evsel.o"))
    assert (found.expect.linkage, found.expect.bpf_skeletons, found.out_of_tree) == (None, None, True)
    assert found.summary == (
        "of the command line: LANG=de_DE.UTF-8 make -C tools/perf LLVM=1 'EXTRA_CFLAGS=-O0 -g' 'O=…' install"
        " util/evsel.o"
    )


def test_the_same_words_are_the_same_build_and_others_another() -> None:
    names = {made().name, made(**WORDS).name, made(**WORDS, out_of_tree=True).name, made(make=["A=1"]).name}
    assert len(names) == 4
    assert made(**WORDS).name == made(**WORDS).name
    assert all(re.fullmatch(r"adhoc-[0-9a-f]{8}", name) for name in names)
    assert made(**WORDS).is_adhoc
    assert not build().is_adhoc


def test_no_file_has_the_name_of_a_build_of_words(tmp_path: Path) -> None:
    folder = tmp_path / "builds"
    folder.mkdir()
    (folder / "adhoc-mine.yaml").write_text("summary: mine\n")
    with pytest.raises(UsageError, match=r"build adhoc-mine: names that begin with adhoc- are those of builds"):
        load.load([tmp_path])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"make": ["LLVM"]}, "'LLVM' is no NAME=VALUE"),
        ({"make": ["9A=1"]}, "'9A' is no name of a variable"),
        ({"make": ["A=1", "A=2"]}, "gives A twice"),
        ({"make": ["O=/tmp/x"]}, "--out-of-tree builds with O="),
        ({"make": ["JOBS=8"]}, "-j says how many"),
        ({"environment": ["=x"]}, "'' is no name"),
        ({"make": ["A=1\n2"]}, "cannot be printed"),
        ({"environment": ["A"]}, "As --env LANG=C.UTF-8."),
        ({"goals": ["-j8"]}, "'-j8' is no goal"),
        ({"goals": ["A=1"]}, "A variable is --make NAME=VALUE"),
        ({"goals": ["a b"]}, "'a b' is no goal"),
    ],
)
def test_what_is_no_build_is_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        made(**words)


def test_an_environment_may_have_what_make_may_not() -> None:
    assert made(environment=["O=x"]).environment == {"O": "x"}


def is_run(*goals: str) -> bool:
    steps = plan.scenario(cell(what=made(goals=goals))).steps
    return "self-test" in {step.name for step in steps}


def test_a_build_that_does_not_make_the_program_does_not_run_it() -> None:
    assert [is_run(), is_run("install"), is_run("a", "all")] == [True] * 3
    assert not is_run("util/evsel.o")


def test_the_command_that_reproduces_a_cell_says_its_build() -> None:
    of = cell(what=made(**WORDS, out_of_tree=True))
    text = command_line.reproduce(of, ("/mine",), 2, Limits())
    assert "--select" not in text
    words = shlex.split(text)
    assert words[words.index("--image") :] == [
        "--image", "debian-trixie", "--make", "LLVM=1", "--make", "EXTRA_CFLAGS=-O0 -g", "--env", "LANG=de_DE.UTF-8",
        "--goal", "install", "--goal", "util/evsel.o", "--out-of-tree", "-j", "2", "--fresh",
    ]  # fmt: skip
    clang = cell(toolchain="clang", what=made(make=["A=1"]))
    assert "--image debian-trixie --toolchain clang --make A=1" in command_line.reproduce(clang, (), 2, Limits())


def test_it_is_a_cell_on_each_image() -> None:
    adhoc = adhoc_build.AdhocCells(made(make=["A=1"]), ("debian-trixie", "debian-bookworm"), "gcc")
    config = adhoc.added(load.load())
    found = selected(config, Selection(trees=("7.3",), select=adhoc.globs))
    assert [str(one.id) for one in found.cells] == [
        f"debian-bookworm/gcc/{adhoc.build.name}@7.3",
        f"debian-trixie/gcc/{adhoc.build.name}@7.3",
    ]


def test_an_image_or_a_toolchain_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="no image 'debian-trixi'; did you mean 'debian-trixie"):
        adhoc_build.AdhocCells(made(), ("debian-trixi",), "gcc").added(load.load())
    with pytest.raises(UsageError, match="has no toolchain 'icc'"):
        adhoc_build.AdhocCells(made(), ("debian-trixie",), "icc").added(load.load())


def test_a_detached_run_has_no_limit_that_a_command_would_keep() -> None:
    words = ["run", "--detach", "--scheduler", "tcp://127.0.0.1:1", "--run-timeout", "9"]
    shown = CliRunner().invoke(app, words)
    assert "--run-timeout does not go with --detach" in str(shown.exception)


def test_a_run_keeps_the_build_in_its_own_folder(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert places
    monkeypatch.setattr(completion, "complete", lambda *_, **__: None)
    words = ["run", "--tree", "7.3", "--image", "debian-trixie-min", "--make", "NO_LIBELF=1", "--goal", "install"]
    CliRunner().invoke(app, words, catch_exceptions=False)
    [run] = store.runs()
    [cell_id] = run.settings().cells
    assert run.settings().configs == (str(own_configs.folder(run)),)
    found = run.configuration().builds[cell_id.place.build]
    assert found == made(make=["NO_LIBELF=1"], goals=["install"])
    assert found.is_adhoc


def test_the_plan_of_a_build_of_words_is_shown_before_it_is_run() -> None:
    shown = CliRunner().invoke(app, ["plan", "--make", "LLVM=1", "--goal", "install", "--out-of-tree"])
    assert shown.exit_code == 0
    assert shown.output.startswith(
        f"debian-trixie/gcc/{made(make=['LLVM=1'], goals=['install'], out_of_tree=True).name}@7.3"
    )
    assert "make -C /src/tools/perf JOBS=2 LLVM=1 O=/out install" in shown.output


@pytest.mark.parametrize("words", [[], ["debian-trixie/gcc/default", "--make", "A=1"], ["--run", "r", "--make", "A=1"]])
def test_a_plan_is_that_of_one_cell(words: list[str]) -> None:
    shown = CliRunner().invoke(app, ["plan", *words])
    assert "a plan is that of a CELL, or of a build" in str(shown.exception)


def test_a_build_of_words_is_no_selection(places: Path) -> None:
    assert places
    shown = CliRunner().invoke(app, ["run", "--make", "A=1", "--select", "debian-*"])
    assert isinstance(shown.exception, UsageError)
    assert "go with no selection" in str(shown.exception)
