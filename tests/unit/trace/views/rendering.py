"""Renders views of a small step, and reads what they show."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from matrix.trace import views, work
from matrix.trace.cost import account
from matrix.trace.simulation import PathItem
from tests.unit.conftest import EPOCH, PERF, file
from tests.unit.trace.test_timeline import OWN, ran, timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix.trace.timeline import Timeline

CELL = "debian-trixie/gcc/default@7.3"


VIEWS = views.registry()


KINDS = {*work.KINDS, "make", "other"}


EVIL = "<script>evil\x1b[31m\u202e.o"


SMALL = timeline(
    ran(0, "make", "-f", "Makefile.perf", "all", at=(0, 10), parent=None),
    ran(1, "/bin/sh", "-c", "gcc -dM -E", at=(0, 1), stdout=OWN),
    ran(2, "/bin/sh", "-c", "gcc -c -o util/evsel.o util/evsel.c", at=(1, 5), cpu_s=0.25, status=2),
    ran(3, "cc1", "util/evsel.c", at=(2, 4), parent=2, cpu_s=2.5),
    ran(4, "make", "-f", "Makefile.build", "dir=./util", "obj=perf-util", at=(4, 9)),
    ran(5, "ld", "-r", "-o", "util/perf-util-in.o", "util/evsel.o", at=(6, 9), parent=4, cpu_s=0.5),
    ran(6, "python3", "util/gen.py", at=(4, 6)),
    ran(7, at=(6, 7), parent=0, status=None),
    ran(8, "sh", "-c", f"gen '{EVIL}'", at=(9, 10)),
    file(f"{PERF}/util/evsel.o", at=EPOCH + 5),
    file(f"{PERF}/util/perf-util-in.o", at=EPOCH + 9),
    file(f"{PERF}/{EVIL}", at=EPOCH + 10),
)


def render(name: str, given: Timeline = SMALL, critical: Sequence[int] = ()) -> str:
    path = [PathItem(name=f"n{one}", process=one, wall_s=3.5, waited_for="what it needs") for one in critical]
    return VIEWS[name].render(CELL, "build", given, account(given), path)


def lines(name: str, given: Timeline = SMALL, critical: Sequence[int] = ()) -> list[str]:
    return [" ".join(line.split()) for line in render(name, given, critical).splitlines()]


EMPTY = {
    "none": (timeline(), 0),
    "short": (timeline(ran(0, "make", at=(0, 0), parent=None)), 1),
}
"""Steps that took no time, and the number of makes that ran in them."""


def events(given: Timeline = SMALL, critical: Sequence[int] = ()) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(render("perfetto", given, critical))["traceEvents"]
    return found


def complete(given: Timeline = SMALL, critical: Sequence[int] = ()) -> dict[str, dict[str, Any]]:
    return {event["name"]: event for event in events(given, critical) if event["ph"] == "X"}


class Page(HTMLParser):
    """The elements of a page, and the text in its titles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.titles: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "title" and data.strip():
            self.titles.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def bars(page: Page, *kinds: str) -> list[dict[str, str]]:
    return [rect for rect in page.all("rect") if rect["class"].split()[0] in kinds]
