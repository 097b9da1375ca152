from __future__ import annotations

import json
from typing import NoReturn

import pytest
from rich.console import Console

from matrix.model.cell_id import CellId
from matrix.model.result import CellResult, CheckResult, Finding, Predecessor, Reused, StepResult, Verdict
from matrix.reports import Report, build, exit_status, formats, same_builds, terminal
from matrix.reports.formats.text import EVIDENCE_LINES, SHOWN, render
from matrix.untrusted import plain
from tests.unit.conftest import result

ID = "debian-trixie/gcc/default@7.3"
OTHER = "debian-trixie/gcc/static@7.3"


STEP = StepResult(name="build", command="make", verdict=Verdict.PASS, user_s=80.0, system_s=15.0)


def finding(subject: str = "/src/a", **more: str) -> Finding:
    return Finding(kind="left", subject=subject, **{"expected": "nothing", "actual": "a file is left", **more})


def check(*findings: Finding, name: str = "clean", verdict: Verdict = Verdict.FAIL, reason: str = "") -> CheckResult:
    return CheckResult(check=name, verdict=verdict, findings=findings, reason=reason, examined=1)


def failed(*checks: CheckResult) -> Report:
    cells = [result(ID, Verdict.FAIL, checks=checks, reproduce="perf-matrix run --select x")]
    return build("r1", "/runs/r1", ["7.3"], [ID], cells)


def lines(report: Report) -> list[str]:
    return [line.rstrip() for line in render(report).splitlines()]


def test_a_report_has_its_cells_by_id_and_the_worst_verdict() -> None:
    report = build("r1", "/runs/r1", ["7.3", "7.2"], [OTHER, ID], [result(OTHER), result(ID, Verdict.XFAIL)])
    assert [one.id for one in report.cells] == [ID, OTHER]
    assert (report.verdict, report.tree, report.missing) == (Verdict.XFAIL, "7.3, 7.2", ())


def test_a_cell_without_a_result_is_missing_and_an_error() -> None:
    report = build("r1", "/runs/r1", ["7.3"], [ID, OTHER], [result(ID)])
    assert (report.missing, report.verdict) == ((OTHER,), Verdict.ERROR)
    assert f"{OTHER}: ERROR: it has no result" in lines(report)


def test_a_report_of_nothing_is_an_error() -> None:
    report = build("r1", "/runs/r1", [], [], [])
    assert report.verdict is Verdict.ERROR
    assert "verdict: ERROR (no cell was run)" in lines(report)


@pytest.mark.parametrize(
    ("verdicts", "missing", "status"),
    [
        ([Verdict.PASS, Verdict.XFAIL, Verdict.SKIP], [], 0),
        ([Verdict.PASS, Verdict.FAIL], [], 1),
        ([Verdict.INCONCLUSIVE], [], 1),
        ([Verdict.FAIL, Verdict.ERROR], ["x/y/z@t"], 1),
        ([Verdict.PASS, Verdict.ERROR], [], 3),
        ([Verdict.PASS], ["x/y/z@t"], 3),
        ([], [], 3),
    ],
)
def test_the_exit_status_tells_failed_cells_from_the_infrastructure(
    verdicts: list[Verdict], missing: list[str], status: int
) -> None:
    cells = [result(f"i/t/{number}@7.3", verdict) for number, verdict in enumerate(verdicts)]
    assert exit_status(build("r", "/r", ["7.3"], [*(one.id for one in cells), *missing], cells)) == status


def test_a_run_whose_cells_were_all_skipped_proves_nothing() -> None:
    assert exit_status(build("r", "/r", ["7.3"], [ID], [result(ID, Verdict.SKIP)])) != 0


def test_two_builds_of_one_place_with_equal_programs_are_noted() -> None:
    one, two = result(ID, program_sha256="1"), result(OTHER, program_sha256="1")
    [note] = same_builds([one, two])
    assert ID in note
    assert OTHER in note
    assert note in render(build("r", "/r", ["7.3"], [], [one, two]))


@pytest.mark.parametrize(
    "other",
    [
        result(OTHER, program_sha256="2"),
        result(OTHER),
        result("debian-sid/gcc/static@7.3", program_sha256="1"),
        result("debian-trixie/clang/static@7.3", program_sha256="1"),
        result("debian-trixie/gcc/static@7.2", program_sha256="1"),
        result(OTHER, program_sha256="1", environment={"A": "1"}),
        result(OTHER, program_sha256="1", out_of_tree=True),
        result(OTHER, program_sha256="1", saved_s=9.0),
    ],
)
def test_builds_that_differ_or_are_meant_to_be_equal_are_not_noted(other: object) -> None:
    assert same_builds([result(ID, program_sha256="1"), other]) == []  # type: ignore[list-item] # a parameter
    assert same_builds([result(ID), result(OTHER)]) == []


@pytest.mark.parametrize("name", sorted(formats.registry()))
def test_every_format_renders_any_report(name: str) -> None:
    reports_of = [
        failed(check(finding(evidence="x\ny", where="logs/clean.log"))),
        build("r", "/r", [], [], []),
        build("r", "/r", ["7.3"], [ID], [result(verdict) for verdict in (ID, OTHER)]),
    ]
    for report in reports_of:
        assert formats.registry()[name].render(report)


def test_json_is_the_report() -> None:
    report = failed(check(finding("/src/caf\u202e\x1b[31m")))
    text = formats.registry()["json"].render(report)
    assert Report.model_validate_json(text) == report
    assert json.loads(text)["cells"][0]["checks"][0]["findings"][0]["kind"] == "left"
    assert "\x1b" not in text


def test_text_has_a_line_per_cell_with_verdicts_and_times() -> None:
    steps = (
        StepResult(name="build", command="make", verdict=Verdict.PASS, exit_status=0, wall_s=75.04),
        StepResult(name="rebuild", command="make", verdict=Verdict.PASS, exit_status=0, wall_s=2.0),
        StepResult(name="clean", command="make clean", verdict=Verdict.SKIP),
    )
    cells = [
        result(ID, steps=steps, wall_s=100, checks=(check(verdict=Verdict.PASS),)),
        result(OTHER, checks=(check(name="build", verdict=Verdict.PASS),)),
    ]
    text = render(build("r1", "/runs/r1", ["7.3"], [], cells))
    [row] = [line for line in text.splitlines() if line.strip().startswith(ID)]
    assert row.split() == [ID, "PASS", "PASS", "75.0", "s", "2.0", "s", "100", "s"]
    assert "verdict: PASS (2 PASS)" in text
    assert "run: /runs/r1" in text


def test_text_tells_each_new_finding_with_its_evidence_where_to_look_and_how_to_repeat_it() -> None:
    found = lines(failed(check(finding(evidence="made by: gcc\nsecond", where="logs/clean.log"))))
    for line in (
        f"{ID} FAIL clean: 1 finding",
        "  left:/src/a",
        "    expected: nothing",
        "    actual:   a file is left",
        "    | made by: gcc",
        "    | second",
        f"    see /runs/r1/cells/{ID}/logs/clean.log",
        "  to reproduce: perf-matrix run --select x",
    ):
        assert line in found


def test_text_counts_known_findings_without_showing_them() -> None:
    found = lines(failed(check(finding("/src/new"), finding("/src/known", known="why"))))
    assert f"{ID} FAIL clean: 1 finding (1 known finding beside)" in found
    assert "  left:/src/known" not in found


def test_text_shows_some_findings_and_says_where_the_others_are() -> None:
    many = [finding(f"/src/{number}", evidence="e\n" * 50) for number in range(SHOWN + 3)]
    text = render(failed(check(*many)))
    assert f"… and 3 more; all are in /runs/r1/cells/{ID}/result.json" in text
    assert text.count("left:/src/") == SHOWN
    assert text.count("    | e") == SHOWN * EVIDENCE_LINES


def test_text_gives_the_reason_of_a_check_without_findings_and_of_a_cell() -> None:
    cells = [
        result(ID, Verdict.FAIL, checks=(check(reason="it examined nothing"),)),
        result(OTHER, Verdict.ERROR, reason="the engine is gone", reproduce="again"),
        result("a/b/c@7.3", Verdict.SKIP, reason="no pool"),
    ]
    found = lines(build("r", "/r", ["7.3"], [], cells))
    assert f"{ID} FAIL clean: it examined nothing" in found
    assert f"{OTHER}: ERROR: the engine is gone" in found
    assert "a/b/c@7.3: SKIP: no pool" in found
    assert found.count("  to reproduce: again") == 1


def test_colours_are_there_only_when_asked_for() -> None:
    assert "\x1b[" not in render(failed(check(finding())))
    assert "\x1b[" in render(failed(check(finding())), colour=True)


STEERING = "\x1b[2J\x9b31m\r\x07\x00\u202e\udcff\u2066"


def test_plain_text_steers_no_terminal() -> None:
    assert plain("b ä…") == "b ä…"
    assert plain(STEERING) == "?[2J?31m??????"


def steers(text: str) -> bool:
    return any(character in text for character in set(STEERING) - set("[2J31m"))


@pytest.mark.parametrize("field", ["expected", "actual", "evidence", "where"])
def test_no_part_of_a_finding_steers_a_terminal(field: str) -> None:
    assert not steers(render(failed(check(finding(**{field: f"x{STEERING}y"})))))
    assert not steers(render(failed(check(finding(f"x{STEERING}y")))))


@pytest.mark.parametrize("field", ["id", "reason", "reproduce"])
def test_no_part_of_a_result_from_elsewhere_steers_a_terminal(field: str) -> None:
    given = {"id": ID, "reproduce": "again", field: f"a/b/c{STEERING}@d"}
    one = result(ID, Verdict.FAIL, checks=(check(finding()),)).model_copy(update=given)
    assert not steers(render(build("r", "/r", ["7.3"], [one.id], [one])))


def test_the_name_of_a_missing_cell_steers_no_terminal() -> None:
    assert not steers(render(build(f"r{STEERING}", "/r", [f"t{STEERING}"], [f"m{STEERING}"], [])))


@pytest.mark.parametrize("field", ["expected", "actual"])
def test_a_finding_cannot_forge_a_line_of_the_report(field: str) -> None:
    forged = "x\nverdict: PASS (1 PASS)"
    assert "verdict: PASS (1 PASS)" not in lines(failed(check(finding(**{field: forged}))))
    assert "verdict: PASS (1 PASS)" not in lines(failed(check(finding(forged))))


def test_what_looks_like_markup_is_shown_as_it_is() -> None:
    found = render(failed(check(finding("/src/[bold]a[/nothing]"))))
    assert "left:/src/[bold]a[/nothing]" in found
    text = render(build("r", "/r", ["dir:/srv/[old]/linux"], [], [result(ID)]))
    assert "dir:/srv/[old]/linux" in text


def test_a_tree_whose_path_looks_like_the_end_of_markup_can_be_reported() -> None:
    assert "dir:/srv/[/old]" in render(build("r", "/r", ["dir:/srv/[/old]"], [], [result(ID)]))


def test_cells_that_went_on_with_another_build_are_counted_in_a_note() -> None:
    on = [
        result(ID, gone_on=Predecessor(tree="p03", touched=("a.c",))),
        result(OTHER, gone_on=Predecessor(tree="base", touched=())),
    ]
    report = build("r", "/r", ["7.3"], [ID, OTHER], [*on, result("a/b/c@7.3")])
    assert report.notes == ("2 cells continued from the kept build of base, p03: no build of theirs is from scratch",)
    assert build("r", "/r", ["7.3"], [ID], [result(ID)]).notes == ()


def test_results_of_earlier_runs_are_counted_in_a_note_that_names_the_runs() -> None:
    reused = [
        result(ID, reused=Reused(run="r1", cell=CellId(ID)), steps=(STEP,), saved_s=9.0),
        result(OTHER, reused=Reused(run="r2", cell=CellId(OTHER), judged_again=True)),
    ]
    whole = "as all that they depend on is the same"
    report = build("r", "/r", ["7.3"], [ID, OTHER], reused)
    assert report.notes == (f"2 cells reused from r1, r2, {whole}, 1 of them judged anew; saved 95 s of CPU time",)
    [note] = build("r", "/r", ["7.3"], [ID, OTHER], [reused[0], result(OTHER)]).notes
    assert note == f"1 cell reused from r1, {whole}; saved 95 s of CPU time"


def test_cells_that_shared_the_build_of_another_one_are_counted_with_the_cpu_time_of_that_build() -> None:
    cells = [result(ID, saved_s=500.0), result(OTHER, saved_s=400.0), result("a/b/c@7.3")]
    report = build("r", "/r", ["7.3"], [cell.id for cell in cells], cells)
    assert report.notes == ("2 cells continued from the build of another cell, which saved 15 min of CPU time",)
    of_patch = result(ID, saved_s=500.0, gone_on=Predecessor(tree="p03", touched=("a.c",)))
    [note] = build("r", "/r", ["7.3"], [ID], [of_patch]).notes
    assert "no build of theirs is from scratch" in note


def test_a_reused_cell_took_no_time_of_its_run_in_any_format() -> None:
    report = build("r", "/r", ["7.3"], [ID], [result(ID, wall_s=168.0, reused=Reused(run="r1", cell=CellId(ID)))])
    assert "reused" in render(report)
    for form in formats.registry().values():
        assert "168" not in form.render(report) or form.name == "json"


def test_a_limit_that_an_engine_did_not_enforce_is_named_with_its_cells() -> None:
    def ran(cell: str, lacking: str) -> CellResult:
        return result(cell, host={"engine": "Podman", "limits_not_enforced": lacking} if lacking else {})

    cells = [ran(f"a/b/c{number}@7.3", "memory, processes") for number in range(4)]
    report = build("r", "/r", ["7.3"], [], [*cells, ran(ID, ""), ran(OTHER, "processes, \x1b[31m")])
    first = "a/b/c0@7.3, a/b/c1@7.3, a/b/c2@7.3"
    memory = f"no limit on memory was enforced by the engine in {first}, and 1 more: docs/engines.md"
    processes = f"no limit on processes was enforced by the engine in {first}, and 2 more: docs/engines.md"
    assert report.notes == (memory, processes)
    assert f"note: {memory}" in render(report)
    assert build("r", "/r", ["7.3"], [ID], [ran(ID, "")]).notes == ()


def test_a_console_that_nobody_reads_ends_with_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(_: Console) -> NoReturn:
        raise SystemExit(1)  # as rich does, whose status is that of a failed cell

    monkeypatch.setattr(Console, "on_broken_pipe", ended)
    with pytest.raises(SystemExit) as end:
        terminal.console().on_broken_pipe()
    assert end.value.code == 141
