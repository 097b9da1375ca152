from __future__ import annotations

import pytest

from matrix.trace.shell_script import MOST_FEEDERS, SimpleCommand, commands, unquoted


def words(script: str) -> list[tuple[str, ...]]:
    return [command.words for command in commands(script)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("set -e; a b && c || d & e\nf", [("set", "-e"), ("a", "b"), ("c",), ("d",), ("e",), ("f",)]),
        ("a 'b c' \"d e\" f\\ g h'i'\"j\"", [("a", "b c", "d e", "f g", "hij")]),
        ("a 'x; y | z > w' b", [("a", "x; y | z > w", "b")]),
        ('a "q\\"uote" "\\$x" "\\n"', [("a", 'q"uote', "$x", "\\n")]),
        ("a \\\n\t-o b", [("a", "-o", "b")]),
        ('a "x\\\ny"', [("a", "xy")]),
        ("a ''", [("a", "")]),
        ("a # b; c\nd e#f", [("a",), ("d", "e#f")]),
        ("(a; b) ; { c; }", [("a",), ("b",), ("c",)]),
        ("if [ -d x ]; then a; else b; fi; c", [("[", "-d", "x", "]"), ("a",), ("b",), ("c",)]),
        ("! a; while read l; do b $l; done", [("a",), ("read", "l"), ("b", "$l")]),
        ("for i in x y; do a $i; done", [("for", "i", "in", "x", "y"), ("a", "$i")]),
        ("'for' x; \\for y; fo\"r\"; { 'for' z; }", [("for", "x"), ("for", "y"), ("for",), ("for", "z")]),
        ("case x in a) b;; *) c;; esac; d", [("b",), ("c",), ("d",)]),
        ("echo fi done }", [("echo", "fi", "done", "}")]),
        ("done; a", [("done",), ("a",)]),
        ("a $(b c) d", [("b", "c"), ("a", "d")]),
        ("a `b c` d", [("b", "c"), ("a", "d")]),
        ("a $x ${y} $", [("a", "$x", "${y}", "$")]),
        ("a 'open", [("a", "'open")]),
        ("a )", []),
        ("", []),
    ],
)  # fmt: skip
def test_a_script_is_its_simple_commands(script: str, expected: list[tuple[str, ...]]) -> None:
    assert words(script) == expected


@pytest.mark.parametrize(
    ("script", "reads", "writes", "logs"),
    [
        ("a > x", (), ("x",), ()),
        ("a >x b >>'y z'", (), ("x", "y z"), ()),
        ("a 1>x 2>y", (), ("x",), ("y",)),
        ("a > x 2>&1", (), ("x",), ()),
        ("a >&- <&3 <&0", (), (), ()),
        ("a &>x", (), ("x",), ()),
        ("a >|x", (), ("x",), ()),
        ("a <x", ("x",), (), ()),
        ("a <<EOF", (), (), ()),
        ("> x", (), ("x",), ()),
        ("a b2>x", (), ("x",), ()),
        ("a >", (), (), ()),
        ("a '>x'", (), (), ()),
    ],
)
def test_redirections_name_files(
    script: str, reads: tuple[str, ...], writes: tuple[str, ...], logs: tuple[str, ...]
) -> None:
    [command] = commands(script)
    assert (command.reads, command.writes, command.logs) == (reads, writes, logs)


@pytest.mark.parametrize(
    ("script", "fed_by"),
    [
        ("a | b | c; d", [(), (0,), (0, 1), ()]),
        ("(a; b) | c", [(), (), (0, 1)]),
        ("a | (b; c)", [(), (0,), (0,)]),
        ("a; (b; c) > x", [(), (), (), (1, 2)]),
        ("for i in x; do a; done | b", [(), (0,), (0, 1)]),
        ("echo $(a) | b", [(), (0,), (0, 1)]),
        ("a |& b", [(), (0,)]),
        ("for i in x; do 'for' y; a; done", [(), (0,), (0,)]),
    ],
)
def test_what_feeds_a_command_comes_through_pipes_and_substitutions(script: str, fed_by: list[tuple[int, ...]]) -> None:
    assert [command.fed_by for command in commands(script)] == fed_by


def test_a_script_is_followed_where_it_changes_the_folder() -> None:
    script = "cd a && b; (cd c; d); e; cd /f; g; cd; h"
    folders = {command.words[0]: command.folder for command in commands(script) if command.words[0] != "cd"}
    assert folders == {"b": "a", "d": "a/c", "e": "a", "g": "/f", "h": "/f"}
    assert commands("cd a; { cd b; }; c")[-1] == SimpleCommand(("c",), folder="a/b")


def test_a_word_without_quotes_stays_as_it_is() -> None:
    assert unquoted("a$b") == "a$b"


@pytest.mark.parametrize(
    "script",
    ["$(" * 20_000, '"' * 40_001, "'\"" * 20_000, '\\"' * 20_000, "(" * 30_000, "`$(" * 20_000, "a|" * 10_000,
     "cd a;" * 30_000, "for a;" * 10_000],
    ids=lambda script: script[:6],
)  # fmt: skip
def test_a_hostile_script_comes_to_an_end_within_bounds(script: str) -> None:
    found = commands(script)  # with a pattern that backtracks this would not end
    assert len(found) <= len(script)
    assert max((len(command.fed_by) for command in found), default=0) <= MOST_FEEDERS
