"""The rules that makefiles declare, read from the data bases that `make -pn` prints, one for each make. Pure.

Format: the functions print_data_base (src/main.c), print_file (src/file.c) and print_variable (src/variable.c) of GNU
make 4.2 to 4.4. Older makes have other words, as 3.81's "commands to execute".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matrix.model.base import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_BEGIN = "# Make data base, printed on "
_END = "# Finished Make data base on "
_FILES = "# Files"
_NO_TARGET = "# Not a target:"
_PHONY = "#  Phony target"
_RECIPE = "#  recipe to execute"
_VARIABLE = re.compile(r"^(CURDIR|MAKECMDGOALS|dir|obj) :?:?= ?(.*)$")  # set by =, := or ::=
MOST_RULES, MOST_LINES = 100_000, 2_000_000
"""The most rules and lines of data bases, ten times perf's: a hostile tree must not fill this machine's memory."""
# A target has no blank, `#` or `=` at its begin, so that no comment, recipe or variable is taken for a rule.
_RULE = re.compile(r"^([^\s#:=][^:=]*?):(?::)?(?:\s+(.*))?$")


class Rule(Frozen):
    """The rule for one target, of all makefiles of a make together.

    `needs` and `order_only` are its prerequisites that are targets; order-only ones are made before it and never make
    it out of date. `recipe` says whether it has a recipe, `phony` whether it is declared as no file.
    """

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
        """The folder in which the make ran; empty where it did not say."""
        return self.variables.get("CURDIR", "")

    def below(self, target: str) -> frozenset[str]:
        """Return all targets that must be made before `target` can be, directly or not."""
        found: set[str] = set()
        waiting = [target] if target in self.rules else []
        while waiting:
            rule = self.rules[waiting.pop()]
            new = {need for need in (*rule.needs, *rule.order_only) if need in self.rules} - found
            found |= new
            waiting += new
        return frozenset(found - {target})


def parse(lines: Iterable[str]) -> tuple[Database, ...]:
    """Return the data bases in the output of `make -pn`, a make's after its children's.

    Files that are no targets are left out, among the prerequisites too: nothing waits for a source.

    Raises:
        ValueError: there are more than MOST_RULES, or more than MOST_LINES of them.

    """
    reader = _DatabaseReader()
    for line in lines:
        reader.take(line.rstrip("\r\n"))
    return tuple(reader.found)


class _DatabaseReader:
    """Collects data bases from lines; `block` holds the lines of the one that is being read."""

    def __init__(self) -> None:
        self.found: list[Database] = []
        self.block: list[str] | None = None
        self.in_files = False
        self.rules = 0
        self.kept = 0

    def take(self, line: str) -> None:
        """Read one line: the begin or end of a data base, or a line of it."""
        if line.startswith(_BEGIN):
            self.block, self.in_files = [], False
        elif self.block is None:
            return
        elif line.startswith(_END):
            self.found.append(_database(self.block))
            self.block = None
        else:
            self._keep(line, self.block)

    def _keep(self, line: str, block: list[str]) -> None:
        """Keep a line of the part about files, or one that sets a variable that tells makes apart."""
        self.in_files = self.in_files or line == _FILES
        if not self.in_files and not _VARIABLE.match(line):
            return
        block.append(line)
        self.kept += 1
        if self.in_files:
            self.rules += bool(_RULE.match(line))
        self._refuse_too_many()

    def _refuse_too_many(self) -> None:
        if self.rules > MOST_RULES or self.kept > MOST_LINES:
            raise ValueError(f"make's data bases have more than {MOST_RULES} rules or {MOST_LINES} lines of them")


def _database(lines: list[str]) -> Database:
    files = lines.index(_FILES) if _FILES in lines else len(lines)
    settings = filter(None, map(_VARIABLE.match, lines[:files]))
    rules = dict(_rules(lines[files + 1 :]))
    rules.pop("", None)  # the key of the rules of files that are no targets
    return Database(
        variables={setting[1]: setting[2] for setting in settings},
        rules={name: _without_files(rule, rules) for name, rule in rules.items()},
    )


def _without_files(rule: Rule, rules: Mapping[str, Rule]) -> Rule:
    """Return a rule without the prerequisites that are no targets."""
    needs = tuple(filter(rules.__contains__, rule.needs))
    order_only = tuple(filter(rules.__contains__, rule.order_only))
    return rule.model_copy(update={"needs": needs, "order_only": order_only})


def _rules(lines: list[str]) -> Iterator[tuple[str, Rule]]:
    """Yield each target with its rule; one of several double-colon rules has the prerequisites of all."""
    name, rule, is_target = "", Rule(), True
    for line in lines:
        if line == _NO_TARGET:
            is_target = False
        elif line.startswith((_PHONY, _RECIPE)):
            rule = _marked(rule, line)
        elif match := _RULE.match(line):
            yield name, rule
            name, rule = match[1] if is_target else "", _rule(match[2] or "")
            is_target = True
    yield name, rule


def _marked(rule: Rule, comment: str) -> Rule:
    """Return a rule with the property, phony or recipe, that a comment of the data base gives it."""
    return rule.model_copy(update={"phony" if comment.startswith(_PHONY) else "recipe": True})


def _rule(prerequisites: str) -> Rule:
    normal, _, order_only = prerequisites.partition("|")
    return Rule(needs=_words(normal), order_only=_words(order_only))


def _words(text: str) -> tuple[str, ...]:
    """Return the prerequisites in a line of the data base: make's own syntax, which has no quotes as a shell's has."""
    return tuple(dict.fromkeys(text.split()))
