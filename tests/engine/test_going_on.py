"""A series in which some patches change a C source alone: their builds go on with that of a patch before them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from matrix.runs import store
from matrix.runs.run_kind import SeriesRun
from matrix.trees import git
from tests.engine.bench import FAKE, PLACE, Bench, edit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.engine.api import Engine
    from matrix.model.result import CellResult

pytestmark = pytest.mark.engine

PERF = "tools/perf"
MAKE, EVSEL, PMUS = f"{PERF}/Makefile.perf", f"{PERF}/util/evsel.c", f"{PERF}/util/pmus.c"
UNUSED, HIDDEN = f"{PERF}/unused.c", f"{PERF}/hidden.c"
NEW = "clean left:/src/tools/perf/new.out"
MAKES = "\nall: $(OUTPUT)new.out\n$(OUTPUT)new.out:\n\t@echo 1 > $@\n"
UNDECLARED = "\nall: $(OUTPUT)hidden.o\n$(OUTPUT)hidden.o:\n\t$(CC) -c -o $@ hidden.c\n"
CLEANS = "\nclean: clean-new\n.PHONY: clean-new\nclean-new:\n\trm -f $(OUTPUT)new.out\n"
ERROR = "\nint not now;\n"
STEPS = (
    ("base", MAKE, "", UNDECLARED),
    ("p01", UNUSED, "", "/* nor this */\n"),
    ("p02", EVSEL, "", "\n/* nothing new */\n"),
    ("p03", HIDDEN, "", "int visible;\n"),
    ("p04", MAKE, "", MAKES),
    ("p05", PMUS, "", "\n/* nothing new */\n"),
    ("p06", EVSEL, "", ERROR),
    ("p07", EVSEL, ERROR, ""),
    ("p08", EVSEL, '#include "evsel.h"\n', '#include "evsel.h"\n#include <stddef.h>\n'),
    ("p09", MAKE, "", CLEANS),
)


def committed(folder: Path) -> str:
    git.run(folder, "init", "-q")
    edit(folder / PERF / ".gitignore", "", "\nnew.out\nhidden.o\n")
    edit(folder / UNUSED, "", "/* nobody compiles this */\n")
    edit(folder / HIDDEN, "", "int hidden;\n")
    for name, path, old, new in STEPS:
        edit(folder / path, old, new)
        git.run(folder, "add", "-A", "-f")
        git.run(folder, "commit", "-q", "-m", name)
    return git.commit(folder, f"HEAD~{len(STEPS) - 1}")


Went = tuple[Bench, dict[str, Any], str]


@pytest.fixture(scope="module")
def went(benches: Callable[[str], Bench], engine: Engine) -> Went:
    bench = benches("going-on")
    repository = bench.folder / "linux"
    shutil.copytree(FAKE / "tree", repository)
    base = committed(repository)
    words = (f"{base}..HEAD", "--base", base, "--repo", str(repository), "--configs", str(FAKE))
    done = bench.command("series", *words, "--select", f"{PLACE}/fake", "--json")
    assert done.status == 1, done.text
    assert bench.left(engine) == []
    assert f"once more, from scratch: {PLACE}/fake@p06" in done.err
    return bench, json.loads(done.out), f"git:{repository}@{base}"


def result(bench: Bench, tree: str) -> CellResult:
    return bench.result(f"fake@{tree}")


def test_a_build_goes_on_where_a_source_alone_changed_and_was_compiled(went: Went) -> None:
    bench, _, _ = went
    gone_on = {tree: result(bench, tree).gone_on for tree, *_ in STEPS}
    on = {tree: (one.tree, one.touched) for tree, one in gone_on.items() if one}
    assert on == {
        "p01": ("base", (UNUSED,)), "p02": ("base", (UNUSED, EVSEL)),
        "p05": ("p04", (PMUS,)), "p07": ("p04", (PMUS,)),
    }  # fmt: skip


def test_it_compiles_what_changed_and_nothing_else_and_every_check_is_made(went: Went) -> None:
    bench, _, _ = went
    log = bench.log("fake@p05", "build.log")
    assert "-o util/pmus.o" in log
    assert "-o util/evsel.o" not in log
    verdicts = {tree: {c.check: c.verdict for c in result(bench, tree).checks} for tree in ("p04", "p05")}
    assert verdicts["p05"] == verdicts["p04"]


def test_where_make_does_not_compile_what_changed_it_is_built_from_scratch(went: Went) -> None:
    bench, _, _ = went
    assert result(bench, "p03").gone_on is None
    assert result(bench, "p03").from_scratch == "/src/tools/perf/hidden.c was not compiled"
    log = bench.log("fake@p03", "build.log")
    assert "-o util/pmus.o" in log
    assert "hidden.c" in log


def test_what_fails_below_still_fails_and_what_newly_fails_was_built_from_scratch(went: Went) -> None:
    bench, found, _ = went
    assert {(tuple(one["keys"]), tuple(one["suspects"]), one["mended"]) for one in found["breaks"]} == {
        ((NEW,), (4,), 9), (("build step-failed:build",), (6,), 7),
    }  # fmt: skip
    kind = store.Run(bench.latest().folder).settings().kind
    assert isinstance(kind, SeriesRun)
    on = {step.tree: step.may_go_on_with for step in kind.patches}
    assert on == {
        "p01": "base", "p02": "base", "p03": "base", "p04": "", "p05": "p04", "p06": "", "p07": "p04", "p08": "",
        "p09": "",
    }  # fmt: skip


def test_the_table_says_which_went_on(went: Went) -> None:
    bench, found, _ = went
    said = bench.command("series", "--resume", found["run"]).text
    assert "PASS on base" in said
    assert "FAIL on p04" in said


def test_every_report_of_a_series_blames_a_patch_for_what_it_breaks_alone(went: Went) -> None:
    bench, found, _ = went
    for name in ("text", "mail", "markdown", "junit"):
        done = bench.command("report", found["run"], "--format", name)
        assert done.status == 1
        assert "new.out" in done.out
        assert "hidden.o" not in done.out, "which the base leaves, too"
    mail = bench.command("report", found["run"], "--format", "mail").out
    assert f"{PLACE}/fake@p01: Ok" in mail
    assert f"{PLACE}/fake@p04: FAIL" in mail
    assert f"perf-matrix repro {PLACE}/fake@p04 --run {found['run']}" in mail


def test_what_a_patch_may_need_is_told_where_it_was_left_out(went: Went) -> None:
    bench, _, base = went
    repository, _, revision = base.removeprefix("git:").rpartition("@")
    words = (f"{revision}..HEAD", "--base", revision, "--repo", repository, "--configs", str(FAKE))
    done = bench.command("series", *words, "--without", "6")
    assert done.status == 2
    assert "patch 7 does not apply" in done.err
    assert "The patch may need one that is not among the patches: 6." in done.err


def test_a_result_that_went_on_is_reproduced_from_its_bundle_from_scratch(went: Went, tmp_path: Path) -> None:
    bench, found, base = went
    path = tmp_path / "bundle.tar.gz"
    packed = bench.command("bundle", found["run"], f"{PLACE}/fake@p05", "-o", str(path))
    assert packed.status == 0, packed.text
    words = ("--from", str(path), "--tree", base, "--configs", str(FAKE), "--json")
    done = bench.command("repro", *words)
    assert done.status == 1, done.text
    assert json.loads(done.out)["outcome"]["answer"] == "reproduced", done.out


def test_exhaustive_builds_every_patch_from_scratch(went: Went) -> None:
    bench, _, base = went
    repository, _, revision = base.removeprefix("git:").rpartition("@")
    words = (f"{revision}..HEAD~7", "--base", revision, "--repo", repository, "--configs", str(FAKE))
    done = bench.command("series", *words, "--select", f"{PLACE}/fake", "--exhaustive")
    assert done.status == 0, done.text
    assert {result(bench, tree).gone_on for tree in ("base", "p01", "p02")} == {None}
