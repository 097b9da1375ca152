from __future__ import annotations

import itertools

import pytest

from matrix.errors import UsageError
from matrix.machines import messages, placement
from matrix.machines.messages import AtStep, Blob, GroupEnd, Lack, Machine, Needs
from matrix.machines.remaining import MOVES, groups
from matrix.model.cell_id import CellId
from matrix.runs import schedule
from tests.unit.conftest import cell, tree

TOKEN = 16 * "a"
PROGRAM = "a" * 64
NEEDS = Needs(architecture="x86_64", memory_bytes=4 << 30, btf=True)


def machine(**more: object) -> Machine:
    values = {"program": PROGRAM, "version": "1", "name": "w1", "architecture": "x86_64", "processors": 2,
              "memory_bytes": 8 << 30, "btf": True, "at_once": 1, **more}  # fmt: skip
    return Machine.model_validate(values)


def test_a_message_arrives_as_it_was_sent() -> None:
    sent = AtStep(token=TOKEN, cell=CellId("i/gcc/b@t"), step="build")
    assert messages.note(sent.model_dump_json()) == sent
    assert messages.parse(GroupEnd, '{"kind": "done"}') == GroupEnd(kind="done")


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        None,
        "",
        "[" * 100_000,
        '{"kind": "step"}',
        '{"kind": "run", "token": "0123456789abcdef"}',
        '{"kind": "lack", "token": "0123456789abcdef", "worker": "w", "sha256": "../../etc/passwd"}',
        '{"kind": "lack", "token": "../123456789abcd", "worker": "w", "sha256": "' + "a" * 64 + '"}',
        '{"kind": "step", "token": "0123456789abcdef", "cell": "../../../x@t", "step": "build"}',
        '{"kind": "step", "token": "0123456789abcdef", "cell": "i/gcc/b@t", "step": "' + "x" * 1001 + '"}',
        '{"kind": "step", "token": "0123456789abcdef", "cell": "i/gcc/b@t", "step": "x", "more": 1}',
        " " * (messages.MESSAGE_BYTES + 1),
    ],
)
def test_any_other_message_is_refused(text: object) -> None:
    with pytest.raises(UsageError, match="has another form"):
        messages.note(text)


@pytest.mark.parametrize("text", ['{"kind": "well"}', b"{}", '{"sha256": "x"}'])
def test_a_message_of_another_kind_is_refused(text: object) -> None:
    for kind in (GroupEnd, Lack, Blob):
        with pytest.raises(UsageError, match="has another form"):
            messages.parse(kind, text)


def test_a_line_is_one_line_of_bounded_length() -> None:
    assert messages.line("a\n  b\tc") == "a b c"
    assert len(messages.line("x" * 5000)) == 1000


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({}, ""),
        ({"program": "b" * 64}, "has another program (1)"),
        ({"architecture": "aarch64"}, "is aarch64, not x86_64"),
        ({"memory_bytes": 2 << 30}, "has 2.0 GiB of memory, not 4.0"),
        ({"btf": False}, "has no type information of its kernel"),
    ],
)
def test_cells_go_where_they_can_run(more: dict[str, object], reason: str) -> None:
    machines = {"a": machine(name="w0", **more), "b": machine(), "c": machine()}
    assert placement.obstacle(machines["a"], NEEDS, PROGRAM) == reason
    assert placement.suitable(machines, NEEDS, PROGRAM, {"c"}) == (("b",) if reason else ("a", "b"))
    if reason:
        assert placement.obstacles({"a": machines["a"]}, NEEDS, PROGRAM) == f"none of 1 worker can run one: w0 {reason}"
    assert placement.obstacles({}, NEEDS, PROGRAM) == "no worker is connected"
    silent = "none of 1 worker can run one: w7 has not said which images and engine it has"
    assert placement.obstacles({}, NEEDS, PROGRAM, ["w7"]) == silent


def test_a_group_has_the_done_cells_too_where_one_is_lacking() -> None:
    cells = [cell(on=tree(name)) for name in ("base", "head", "other")]
    [place] = {found.place for found in cells}
    found = groups(cells, [place.on("head")], lambda cell_id: schedule.group_on("base", cell_id))
    assert [(group.cells, group.lacking) for group in found] == [(tuple(cells), {place.on("head")})]
    assert not found[0].is_bound
    assert groups(cells, [], str) == []
    assert [group.lacking for group in groups(cells, [place.on("head")], str)] == [{place.on("head")}]


def test_a_group_is_bound_to_the_kind_of_its_reused_results_where_trees_are_compared() -> None:
    cells = [cell(on=tree(name)) for name in ("base", "head")]
    base, head = (found.id for found in cells)
    [group] = groups(cells, [head], lambda cell_id: schedule.group_on("base", cell_id), {base: "k", head: "old"})
    assert (group.is_bound, group.reused) == (True, {base: "k"})
    group.forget()
    assert (group.is_bound, group.lacking) == (False, {base, head})
    [alone] = groups(cells[:1] * 2, [base], str, {base: "k"})
    assert not alone.is_bound
    alone.reused = {base: "k"}
    assert not alone.is_bound


def test_a_group_goes_elsewhere_three_times() -> None:
    [group] = groups([cell()], [cell().id], str)
    moves = list(itertools.takewhile(bool, (group.fail("it died", f"w{number}") for number in range(9))))
    assert len(moves) == MOVES == 3
    assert group.failed_at == {"w0", "w1", "w2", "w3"}


def test_as_many_groups_are_given_out_as_the_workers_will_soon_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "AHEAD", 2)
    machines = {"a": machine(), "b": machine(at_once=3, btf=False)}
    places = placement.Places(machines, PROGRAM, [("a",)])
    plain = NEEDS.model_copy(update={"btf": False})
    assert places.suitable(NEEDS, ()) == ("a",)
    assert places.take(("a",))
    assert not places.take(("a",))  # the one that can run it has two, one of which waits there
    assert not places.are_taken
    assert places.suitable(plain, {"a", "b"}) == ()
    assert not places.take(())
    assert places.suitable(plain, ()) == ("a", "b")
    assert all(places.take(("a", "b")) for _ in range(6))
    assert places.are_taken
    assert placement.Places({}, PROGRAM, []).are_taken
