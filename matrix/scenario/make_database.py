"""What makefiles declare: the rules in the data bases that `make -pn` prints, one of each make. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matrix.model.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BEGIN = "# Make data base, printed on "
_END = "# Finished Make data base on "
_FILES = "# Files"
_NO_TARGET = "# Not a target:"
_PHONY = "#  Phony target"
_RECIPE = "#  recipe to execute"
_VARIABLE = re.compile(r"^(CURDIR|MAKECMDGOALS|dir|obj) :?:?= ?(.*)$")
MOST_RULES, MOST_LINES = 100_000, 2_000_000
"""More than ten times as many as perf has: what a tree prints must not fill this machine's memory."""
_RULE = re.compile(r"^([^\s#:=][^:=]*?):(?::)?(?:\s+(.*))?$")


class Rule(Frozen):
    """What a makefile says of one target; `order_only` prerequisites come first and never make it out of date."""

    needs: tuple[str, ...] = ()
    order_only: tuple[str, ...] = ()
    phony: bool = False
    recipe: bool = False


class Database(Frozen):
    """The rules that one make knew. `variables` are those that tell one make from another, as tools/build's `obj`."""

    variables: dict[str, str]
    rules: dict[str, Rule]

    @property
    def folder(self) -> str:
        """Where the make ran."""
        return self.variables.get("CURDIR", "")

    def below(self, target: str) -> frozenset[str]:
        """Return all targets that must be made before `target` can be, directly or not."""
        found: set[str] = set()
        waiting = [target]
        while waiting:
            rule = self.rules.get(waiting.pop(), Rule())
            new = {need for need in (*rule.needs, *rule.order_only) if need in self.rules} - found
            found |= new
            waiting += new
        return frozenset(found - {target})


def parse(lines: Iterable[str]) -> tuple[Database, ...]:
    """Return the data bases in what `make -pn` printed, a make's after its children's.

    The format is that of print_data_base and its like in GNU make's own source (4.2 to 4.4). What is no target, and
    what is no target among prerequisites, is left out: nothing waits for a source.

    Raises:
        ValueError: there are more than MOST_RULES, or more than MOST_LINES of them.

    """
    found: list[Database] = []
    block: list[str] | None = None
    files, rules, kept = False, 0, 0
    for line in lines:
        text = line.rstrip("\r\n")
        if text.startswith(_BEGIN):
            block, files = [], False
        elif text.startswith(_END) and block is not None:
            found.append(_database(block))
            block = None
        elif block is not None and (files or text == _FILES or _VARIABLE.match(text)):
            files = files or text == _FILES
            block.append(text)
            kept += 1
            rules += bool(files and _RULE.match(text))
            if rules > MOST_RULES or kept > MOST_LINES:
                raise ValueError(f"make's data bases have more than {MOST_RULES} rules or {MOST_LINES} lines of them")
    return tuple(found)


def _database(lines: list[str]) -> Database:
    files = next((number for number, line in enumerate(lines) if line == _FILES), len(lines))
    variables = {match[1]: match[2] for line in lines[:files] if (match := _VARIABLE.match(line))}
    rules = dict(_rules(lines[files + 1 :]))
    targets = {
        name: rule.model_copy(
            update={
                "needs": tuple(need for need in rule.needs if need in rules),
                "order_only": tuple(need for need in rule.order_only if need in rules),
            }
        )
        for name, rule in rules.items()
    }
    return Database(variables=variables, rules=targets)


def _rules(lines: list[str]) -> Iterator[tuple[str, Rule]]:
    """Yield each target once; one of several double-colon rules has the prerequisites of all."""
    name, rule, skip = "", Rule(), False
    for line in lines:
        if line == _NO_TARGET:
            skip = True
        elif line.startswith(_PHONY):
            rule = rule.model_copy(update={"phony": True})
        elif line.startswith(_RECIPE):
            rule = rule.model_copy(update={"recipe": True})
        elif match := _RULE.match(line):
            if name:
                yield name, rule
            normal, _, order = (match[2] or "").partition("|")
            name, rule = ("", Rule()) if skip else (match[1], Rule(needs=_words(normal), order_only=_words(order)))
            skip = False
    if name:
        yield name, rule


def _words(text: str) -> tuple[str, ...]:
    """Return the prerequisites in a line of the data base: make's own syntax, which has no quotes as a shell's has."""
    return tuple(dict.fromkeys(text.split()))
