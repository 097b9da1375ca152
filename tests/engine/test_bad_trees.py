"""Each fault of a build is found by the check that is for it, named, and by no other check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.model.result import Verdict
from tests.engine.bench import PLACE, Bench, Done, Edit, unfinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.engine.api import Engine

pytestmark = pytest.mark.engine

PERF = "tools/perf"
MAKE = f"{PERF}/Makefile.perf"
JEVENTS = f"{PERF}/pmu-events/jevents.py"
TABLES = ("cache", "core", "uncore")

RELINKS = ((MAKE, "all: $(PROGRAM)", ".PHONY: $(PROGRAM)\nall: $(PROGRAM)"),)
FORGETS = (
    (MAKE, "rm -f $(PROGRAM) $(DUMP)", "rm -f $(PROGRAM) pmu-events/events.json"),
    (f"{PERF}/.gitignore", "/FEATURE-DUMP\n", ""),
    (f"{PERF}/pmu-events/pmu-events.h", "unsigned int offset;", "unsigned int offset;\n\tconst char *name;"),
    (JEVENTS, "\\t{{ {offset} }},", '\\t{{ {offset}, \\"x\\" }},'),
    (JEVENTS, "\";\\n')", "\";\\nconst char *const all = big_c_string;\\n')"),
)
DATED = ((f"{PERF}/perf.c", "\treturn 0;\n}\n\nstruct", '\tputs(__DATE__ " " __TIME__);\n\treturn 0;\n}\n\nstruct'),)
WRITES = ((MAKE, "\t@mkdir -p $(@D)\n\t@echo", "\t@mkdir -p $(@D)\n\t@echo y > util/.stamp\n\t@echo"),)
ORDERED = (
    (JEVENTS, "import json\n", "import json\nimport multiprocessing\n"),
    (JEVENTS, "head = '", 'head = f"/* {multiprocessing.get_start_method()} */\\n"\n    head += \''),
)
STUBBORN = (
    (JEVENTS, "import json\n", "import json\nimport multiprocessing\n"),
    (JEVENTS, "max_workers=2", 'max_workers=2, mp_context=multiprocessing.get_context("fork")'),
)
POOLLESS = (
    (JEVENTS, "from concurrent.futures import ProcessPoolExecutor\n", ""),
    (JEVENTS, "    with ProcessPoolExecutor(max_workers=2) as pool:\n        tables = list(pool.map(table, jobs))\n",
     "    tables = list(map(table, jobs))\n"),
)  # fmt: skip
STALE = (
    (MAKE, "-include $(COMMAND_FILES)\n", "$(OUTPUT)pmu-events/pmu-events.o: util/evsel.c\n"),
    (f"{PERF}/util/evsel.c", "return pmus__count() + 1", "return pmus__count() + 2"),
)
POSES = (
    (f"{PERF}/util/poser.c", "", "int poser;\n"),
    (MAKE, "all: $(PROGRAM)", (
     "all: $(PROGRAM) poses\n.PHONY: poses\nposes:\n"
     "\t@bash -c 'exec -a true $(shell $(CC) -print-prog-name=cc1) -quiet -o /dev/null util/poser.c'\n\n"
     "all: $(PROGRAM)")),
)  # fmt: skip
RESTORES = (
    (f"{PERF}/restores.py", "", (
     "import os\n"
     "kept = os.stat('perf')\n"
     "with open('perf', 'rb+') as file:\n"
     "    program = file.read()\n"
     "    file.seek(0)\n"
     "    file.write(program)\n"
     "os.utime('perf', ns=(kept.st_atime_ns, kept.st_mtime_ns))\n")),
    (MAKE, "all: $(PROGRAM)",
     "all: restores\n.PHONY: restores\nrestores: $(PROGRAM)\n\t@python3 restores.py\n\nall: $(PROGRAM)"),
)  # fmt: skip
BROKEN = ((f"{PERF}/util/evsel.c", "return pmus__count()", "return pmus_count()"),)
LOSSY = (
    (f"{PERF}/perf.c", 'option("aio", 1', 'option("aio", 0'),
    (f"{PERF}/util/pmus.c", "return count;", "return 0;"),
    (f"{PERF}/util/evsel.c", " + 1", ""),
    (MAKE, "feature-fake=1", "feature-fake=0"),
)

TREES: dict[str, tuple[Edit, ...]] = {
    "relinks": RELINKS,
    "forgets": FORGETS,
    "dated": DATED,
    "writes": WRITES,
    "ordered": ORDERED,
    "stubborn": STUBBORN,
    "poolless": POOLLESS,
    "stale": STALE,
    "poses": POSES,
    "restores": RESTORES,
    "broken": BROKEN,
    "lossy": LOSSY,
}
CELLS = (
    "fake@relinks",
    "fake@forgets",
    "fake@dated",
    "fake-out@writes",
    "fake-spawn@ordered",
    "fake-spawn@stubborn",
    "fake-spawn@poolless",
    "fake@stale",
    "fake@poses",
    "fake@restores",
    "fake@broken",
    "fake@lossy",
)
FOUND: dict[str, dict[str, set[str]]] = {
    "fake@relinks": {"no-op": {"changed:/src/tools/perf/perf", "ran-linker:/src/tools/perf/perf"}},
    "fake@forgets": {
        "clean": {
            "left:/src/tools/perf/FEATURE-DUMP",
            "gone:/src/tools/perf/pmu-events/events.json",
            "not-ignored:/src/tools/perf/FEATURE-DUMP",
        },
        "relocations": {
            *(f"relocated:{unit}:pmu_events__{table}" for unit in ("perf", "pmu-events.o") for table in TABLES),
            "relocated-unit:pmu-events-string.o:.data.rel.ro.local",
        },
    },
    "fake@dated": {
        "reproducible": {"first-difference:/src/tools/perf/perf.o", "differs:/src/tools/perf/perf"},
    },
    "fake-out@writes": {
        "source-untouched": {"written:/src/tools/perf/util/.stamp"},
        "clean": {"left:/src/tools/perf/util/.stamp", "not-ignored:/src/tools/perf/util/.stamp"},
    },
    "fake-spawn@ordered": {
        "start-method": {f"differs:{method}/pmu-events{which}.c"
                         for method in ("regenerate", "forkserver", "spawn") for which in ("", "-string")},
    },
    "fake-spawn@stubborn": {
        "start-method": {"no-effect:regenerate", "no-effect:generate spawn", "no-effect:generate forkserver"},
    },
    "fake@stale": {
        "touch": {
            "rebuilt:/src/tools/perf/pmu-events/.pmu-events.o.cmd",
            "rebuilt:/src/tools/perf/pmu-events/pmu-events.o",
            *(f"stale:/src/tools/perf/{name}" for name in ("perf", "perf.o", "util/evsel.o", "util/pmus.o")),
        },
    },
    "fake@poses": {"no-op": {"ran-compiler:/src/tools/perf/util/poser.c"}},
    "fake@restores": {"no-op": {"changed:/src/tools/perf/perf", "ran-generator:/src/tools/perf/restores.py"}},
    "fake@broken": {"build": {"step-failed:build"}},
    "fake@lossy": {"build": {"option:aio", "feature:fake", "test:CPU map", "test:Sample parsing"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def ran(benches: Callable[[str], Bench]) -> tuple[Bench, Done]:
    bench = benches("bad")
    for name, edits in TREES.items():
        bench.tree(name, *edits)
    return bench, bench.run(*CELLS)


def test_cells_that_failed_are_exit_status_1(ran: tuple[Bench, Done]) -> None:
    assert ran[1].status == 1, ran[1].text


@pytest.mark.parametrize("cell", FOUND)
def test_a_fault_is_found_by_its_check_and_no_other(ran: tuple[Bench, Done], cell: str) -> None:
    bench, _ = ran
    assert bench.keys(cell) == FOUND[cell]
    verdicts = {c.check: c.verdict for c in bench.result(cell).checks}
    assert {name for name, verdict in verdicts.items() if verdict == Verdict.FAIL} == FOUND[cell].keys()
    assert bench.result(cell).verdict == Verdict.FAIL


def test_every_finding_and_its_reproduction_is_in_the_report(ran: tuple[Bench, Done]) -> None:
    bench, done = ran
    for cell, checks in FOUND.items():
        for check, keys in checks.items():
            assert f"{PLACE}/{cell} FAIL {check}: {len(bench.check(cell, check).findings)} finding" in done.out
            assert any(f"  {key}\n" in done.out for key in keys)
    assert f"to reproduce: {bench.result('fake@relinks').reproduce}" in done.out


def test_what_made_a_file_that_changed_is_evidence(ran: tuple[Bench, Done]) -> None:
    bench, _ = ran
    findings = bench.check("fake@relinks", "no-op").findings
    changed = next(finding for finding in findings if finding.kind == "changed")
    assert changed.evidence.startswith("made by: /usr/bin/ld ")


def test_a_difference_is_explained_by_diffoscope(ran: tuple[Bench, Done]) -> None:
    bench, _ = ran
    explanation = bench.log("fake@dated", "diffoscope.txt")
    assert explanation.startswith("diffoscope of /src/tools/perf/perf.o\n")
    assert "--- /volume/first/perf.o" in explanation
    first = next(f for f in bench.check("fake@dated", "reproducible").findings if f.kind == "first-difference")
    assert first.where == "logs/diffoscope.txt"
    assert "--- /volume/first/perf.o" in first.evidence


def test_steps_after_a_failed_build_are_skipped_with_that_reason(ran: tuple[Bench, Done]) -> None:
    bench, _ = ran
    reasons = unfinished(bench.result("fake@broken"))
    assert reasons.pop("build").startswith("exit status 2 of make")
    assert len(reasons) == 7
    assert all(reason.startswith("step build failed: exit status 2 of make") for reason in reasons.values())
    assert {c.verdict for c in bench.result("fake@broken").checks if c.check != "build"} == {Verdict.SKIP}
    assert "error: implicit declaration of function" in bench.log("fake@broken", "build.log")


def test_a_generator_without_a_process_pool_is_a_skip_with_that_reason(ran: tuple[Bench, Done]) -> None:
    bench, done = ran
    result = bench.result("fake-spawn@poolless")
    assert result.verdict == Verdict.SKIP
    assert "no process pool" in result.reason
    assert f"{PLACE}/fake-spawn@poolless: SKIP: {result.reason}" in done.out


def test_the_run_is_gone_from_the_engine(ran: tuple[Bench, Done], engine: Engine) -> None:
    bench, _ = ran
    assert bench.left(engine) == []
