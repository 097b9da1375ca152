from __future__ import annotations

from matrix.scenario.listings import children, gone


def test_children_are_the_names_in_each_folder() -> None:
    assert children(["Makefile", "tools/perf/a.c", "tools/perf/b.c", "tools/lib/c.c"]) == {
        "": {"Makefile", "tools"},
        "tools": {"perf", "lib"},
        "tools/perf": {"a.c", "b.c"},
        "tools/lib": {"c.c"},
    }


def test_gone_is_what_the_listing_of_a_folder_no_longer_shows() -> None:
    names = children(["Makefile", "tools/perf/a.c", "tools/perf/b.c"])
    listings = [
        ["listing", ".", ["tools", "new"]],
        ["listing", "tools/perf", ["b.c", "perf"]],
        ["listing", "made/here", ["x"]],
        ["file", "source", "a", {}],
    ]
    assert gone(listings, names) == ["Makefile", "tools/perf/a.c"]
