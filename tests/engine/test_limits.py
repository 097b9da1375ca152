"""A build that takes more than it may, or that attacks what watches it, is ended, named, and harms no other cell."""

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


def first(*recipe: str) -> tuple[Edit, ...]:
    """Return the edit that makes the build do something before all else, and nothing beside it.

    Beside it a pool of Python's that may not fork waits forever for the worker that it did not get.
    """
    lines = "".join(f"\t{line}\n" for line in recipe)
    rules = f".NOTPARALLEL:\nall: first\n.PHONY: first\nfirst:\n{lines}\nall: $(PROGRAM)"
    return ((MAKE, "all: $(PROGRAM)", rules),)


EATS = first("python3 -c 'b = bytearray(1 << 30)'")
FILLS = first("dd if=/dev/zero of=large bs=1M count=200")
CLOSES = first("mkdir -p -m 0 util/closed")
FORKS = first("python3 $(CURDIR)/forks.py")
FORKS_PY = "import os, time\nwhile os.fork():\n    pass\ntime.sleep(1000)\n"
KILLS = first("kill -9 -1; sleep 1000")
LINGERS = first("setsid sleep 1000 > /dev/null 2>&1 &")
STOPS = first("kill -STOP $$PPID; sleep 1000")
BOMB_PY = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
FORGES = (
    (f"{PERF}/forges", "", (
     "import json, os\n"
     "line = json.dumps(['file', 'source', 'forged', {'mode': 0, 'size': 0, 'mtime_ns': 0, 'ino': 1,"
     " 'content': '', 'type': 'file'}])\n"
     "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
     "    for number in (1, 2):\n"
     "        try:\n"
     "            with open(f'/proc/{pid}/fd/{number}', 'w') as file:\n"
     "                file.write(line + chr(10))\n"
     "        except OSError as error:\n"
     "            print(pid, number, error)\n"
     "print(line)\n")),
    *first("python3 $(CURDIR)/forges"),
)  # fmt: skip
NAMES = (
    (f"{PERF}/names", "", (
     "import os, sys\n"
     "if os.path.lexists('util/fifo'):\n    sys.exit()\n"
     "for name in (b'red\\x1b[31m', b'two\\nlines', b'not\\xffutf8', '\\u202edegrof'.encode(), b'n' * 255):\n"
     "    open(b'util/' + name, 'w').close()\n"
     "os.mkfifo('util/fifo')\n"
     "os.symlink('/etc/shadow', 'util/link')\n"
     "print('\\x1b]0;title\\x07')\n")),
    *first("python3 names"),
)  # fmt: skip

LIMITED: dict[str, tuple[Edit, ...]] = {
    "eats": EATS,
    "fills": FILLS,
    "forks": ((f"{PERF}/forks.py", "", FORKS_PY), *FORKS),
    "kills": KILLS,
    "lingers": LINGERS,
    "forges": FORGES,
    "names": NAMES,
    "closes": CLOSES,
    "good": (),
}
ENDLESS: dict[str, tuple[Edit, ...]] = {
    "hangs": first("sleep 1000"),
    "stops": STOPS,
    "bombs": ((f"{PERF}/forks.py", "", BOMB_PY), *FORKS),
}
REASONS = {
    "closes": "left what cannot be read: ",
    "eats": "hit the limit on memory (processes killed: 1)",
    "fills": "filled the disk space that a cell may use",
    "forks": "hit the limit on processes (",
    "kills": "exit status -9 of make",
}


OPTIONS = ("-n", "2", "--memory", "256", "--pids", "64", "--disk", "64")


@pytest.fixture(scope="module")
def limited(benches: Callable[[str], Bench]) -> tuple[Bench, Done]:
    bench = benches("limited")
    for name, edits in LIMITED.items():
        bench.tree(name, *edits)
    return bench, bench.run(*(f"fake@{name}" for name in LIMITED), options=OPTIONS)


@pytest.mark.parametrize("name", REASONS)
def test_a_build_past_a_limit_failed_and_says_which(limited: tuple[Bench, Done], name: str) -> None:
    bench, done = limited
    result = bench.result(f"fake@{name}")
    assert result.verdict == Verdict.FAIL
    assert unfinished(result)["build"].startswith(REASONS[name])
    assert bench.keys(f"fake@{name}") == {"build": {"step-failed:build"}}
    assert f"{PLACE}/fake@{name} FAIL build: 1 finding" in done.out
    assert REASONS[name] in done.out


def test_the_cells_beside_it_have_their_results(limited: tuple[Bench, Done]) -> None:
    bench, done = limited
    assert done.status == 1, done.text
    assert bench.result("fake@good").verdict == Verdict.PASS


def test_a_process_that_outlives_make_is_named_and_ended(limited: tuple[Bench, Done]) -> None:
    bench, _ = limited
    assert bench.keys("fake@lingers") == {"build": {"left-running:sleep"}}


def test_a_build_cannot_forge_the_facts_of_its_step(limited: tuple[Bench, Done]) -> None:
    bench, _ = limited
    assert "forged" in bench.log("fake@forges", "build.log")
    assert bench.keys("fake@forges") == {}
    assert bench.result("fake@forges").verdict == Verdict.PASS


def test_names_that_steer_a_terminal_are_kept_exactly_and_shown_tamely(limited: tuple[Bench, Done]) -> None:
    bench, done = limited
    left = {key for key in bench.keys("fake@names")["clean"] if key.startswith("left")}
    folder = "/src/tools/perf/util"
    assert f"left:{folder}/red\x1b[31m" in left
    assert f"left:{folder}/two\nlines" in left
    assert f"left:{folder}/link" in left
    assert f"left:{folder}/fifo" in left
    assert len(left) == 7
    assert f"left:{folder}/red?[31m" in bench.command("report").out
    assert "\x1b" not in bench.command("report", "--format", "json").text
    for out in (done.text, bench.command("report").text):
        assert "\x1b" not in out
        assert "\u202e" not in out


def test_nothing_of_the_run_is_left(limited: tuple[Bench, Done], engine: Engine) -> None:
    bench, _ = limited
    assert bench.left(engine) == []


@pytest.mark.engines("podman")  # docker has all of `limited`
def test_a_build_past_the_limit_on_memory_is_told_on_podman_too(bench: Bench, engine: Engine) -> None:
    bench.tree("eats", *EATS)
    done = bench.run("fake@eats", options=OPTIONS)
    assert done.status == 1, done.text
    assert unfinished(bench.result("fake@eats"))["build"].startswith(REASONS["eats"])
    assert "Podman" in engine.describe()["engine"]


def test_a_build_without_an_end_is_ended_after_the_time_a_step_has(bench: Bench) -> None:
    for name, edits in ENDLESS.items():
        bench.tree(name, *edits)
    options = ("-n", "2", "--timeout", "3", "--pids", "64", "--json")
    done = bench.run(*(f"fake@{name}" for name in ENDLESS), options=options)
    assert done.status == 1, done.text
    for name in ENDLESS:
        result = bench.result(f"fake@{name}")
        assert result.verdict == Verdict.FAIL
        assert unfinished(result)["build"] == "ended after 3 s, the limit on a step"
        assert unfinished(result)["clean"] == "step build failed: ended after 3 s, the limit on a step"
