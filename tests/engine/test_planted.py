"""Faults that are planted on what the unedited tree built, and the same faults built from scratch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from matrix.model.result import Verdict
from tests.engine.bench import FAKE, PLACE, Bench, Done

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine

MAKEFILE = "tools/perf/Makefile.perf"
FORGETS = (r"rm -f \$\(PROGRAM\) \$\(DUMP\)", "rm -f $(PROGRAM)")
FAULTS = {
    "forgets": (MAKEFILE, *FORGETS, "clean", "left:/src/tools/perf/FEATURE-DUMP"),
    "zone": (
        "tools/perf/pmu-events/jevents.py",
        r"(?<=head = )",
        """f'/* {__import__("os").environ["TZ"]} */' + """,
        "reproducible",
        "first-difference:*/pmu-events.c",
    ),
    "dates": ("tools/perf/util/evsel.c", r"\Z", "const char *now = __TIME__;\n", "reproducible", "differs:*/perf"),
    "other": (MAKEFILE, *FORGETS, "clean", "gone:/src/tools/perf/perf.c"),
    "quiet": (MAKEFILE, r"\Z", "# nothing\n", "no-op", "changed:*"),
    "same": (MAKEFILE, r"\Z", "# nothing\n", "no-op", "changed:*"),
    "same-twice": (MAKEFILE, r"\Z", "# nothing\n", "reproducible", "differs:*"),
    "unfit": (MAKEFILE, "no such text", "", "no-op", "changed:*"),
}


def write_faults(bench: Bench, *names: str) -> None:
    """Write faults into a bench's configuration: those of these names, or all."""
    folder = bench.configs / "edits"
    folder.mkdir()
    for name in names or FAULTS:
        file, find, replace, check, finding = FAULTS[name]
        edit = {
            "summary": name,
            "trees": ["good"],
            "changes": [{"file": file, "find": find, "replace": replace}],
            "expect": {"check": check, "cells": [f"{PLACE}/fake", f"{PLACE}/fake-out"], "findings": [finding]},
            "from_scratch": name == "dates",
            "equivalent": "a comment" if name.startswith("same") else "",
        }
        (folder / f"{name}.yaml").write_text(json.dumps(edit))


@pytest.fixture(scope="module")
def planted(benches: Callable[[str], Bench], engine: Engine) -> tuple[Bench, Done, dict[tuple[str, str], Any]]:
    bench = benches("planted")
    bench.tree("good")
    write_faults(bench)
    done = bench.command("mutants", "--configs", str(FAKE), "--configs", str(bench.configs), "--tree", "good", "--json")
    assert bench.left(engine) == []
    rows = {(row["fault"], row["cell"].rpartition("/")[2]): row for row in json.loads(done.out)["planted"]}
    return bench, done, rows


@pytest.mark.parametrize("build", ["fake", "fake-out"])
def test_each_fault_has_its_fate_in_each_cell(
    planted: tuple[Bench, Done, dict[tuple[str, str], Any]], build: str
) -> None:
    _, done, rows = planted
    output = "/out" if build == "fake-out" else "/src/tools/perf"
    assert {name: row["fate"] for (name, at), row in rows.items() if at == build} == {
        "": "control: silent",
        "forgets": "killed" if build == "fake" else "killed by another",
        "dates": "killed",
        "zone": "killed",
        "other": "killed by another",
        "quiet": "survived",
        "same": "equivalent",
        "same-twice": "equivalent",
        "unfit": "error",
    }, done.text
    kinds = {key.partition(":")[0] for keys in rows["zone", build]["killers"].values() for key in keys}
    assert kinds == {"first-difference", "differs"}
    assert rows["forgets", build]["killers"] == {"clean": [f"left:{output}/FEATURE-DUMP"]}
    assert "'no such text' matches 0 times" in rows["unfit", build]["reason"]
    assert done.status == 1


def test_only_what_a_fault_affects_is_made_again_on_what_was_built(
    planted: tuple[Bench, Done, dict[tuple[str, str], Any]],
) -> None:
    bench, _, _ = planted
    assert "-o perf.o" not in bench.log("fake@good+forgets", "build.log")
    assert "-o perf.o" in bench.log("fake@good+dates", "build.log")
    steps = {step.name: step.verdict for step in bench.result("fake@good+forgets").steps}
    assert steps == {"build": Verdict.PASS, "clean": Verdict.PASS}


def test_a_fault_is_found_from_scratch_too_and_in_the_table(
    planted: tuple[Bench, Done, dict[tuple[str, str], Any]],
) -> None:
    bench, _, _ = planted
    done = bench.run("fake@good+forgets", "fake@good")
    assert done.status == 1, done.text
    assert bench.keys("fake@good+forgets") == {"clean": {"left:/src/tools/perf/FEATURE-DUMP"}}
    assert bench.result("fake@good").verdict == Verdict.PASS
    assert f"--tree good+forgets --select {PLACE}/fake" in done.out
    names = [bench.result(f"fake@{tree}").tree for tree in ("good", "good+forgets")]
    assert len({identity.sha256 for identity in names if identity}) == 2


def test_the_table_and_the_list_name_faults(planted: tuple[Bench, Done, dict[tuple[str, str], Any]]) -> None:
    bench, _, _ = planted
    words = ["--configs", str(FAKE), "--configs", str(bench.configs), "--tree", "good", "--select", "forgets"]
    listed = bench.command("mutants", *words, "--list")
    assert (listed.status, listed.err) == (0, "1 fault\n")
    assert listed.out.startswith("forgets: forgets\n  clean in ")
    done = bench.command("mutants", *words)
    assert done.status == 1
    assert "50.0% killed as intended" in done.out
    name = bench.latest().name
    for other in ("claims", "run"):
        refused = bench.command(other, "--resume", name)
        assert (refused.status, "is a run of `mutants`" in refused.err) == (2, True)
    again = bench.command("mutants", "--resume", name)
    assert "0 of 4 cells to do" in again.out
    assert again.status == 1
