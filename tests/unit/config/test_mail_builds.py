from __future__ import annotations

import base64
import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from matrix.cli import app
from matrix.config import load, mail_builds
from matrix.errors import UsageError
from matrix.reports.tables import mail_builds as table

if TYPE_CHECKING:
    from pathlib import Path

REPORT = """Hi,

make sure that you have clang installed, then make -C tools/perf sure of it.

  $ make -C tools/perf LLVM=1 NO_LIBELF=1 -j8
  make[2]: *** [Makefile.build:105: util/evsel.o] Error 1
> # LANG=de_DE.UTF-8 make -C tools/perf O=/tmp/build/perf \\
>     EXTRA_CFLAGS="-O0 -g" install-bin

acme@five:~/git/perf-tools-next$ alias m='make -k CORESIGHT=1 O=/tmp/build/$PWD -C tools/perf install-bin'
Seen on Fedora 42, and on Debian bookworm.
"""


def of(text: str) -> list[tuple[dict[str, str], tuple[str, ...], bool]]:
    return [(one.build.make, one.build.goals, one.build.out_of_tree) for one in mail_builds.builds(text)[0]]


def test_the_make_commands_of_a_report_are_builds() -> None:
    found, others = mail_builds.builds(REPORT)
    assert [number for number, _ in others] == [3]
    assert of(REPORT) == [
        ({"LLVM": "1", "NO_LIBELF": "1"}, (), False),
        ({"EXTRA_CFLAGS": "-O0 -g"}, ("install-bin",), True),
        ({"CORESIGHT": "1"}, ("install-bin",), True),
    ]
    assert [(one.line, one.dropped) for one in found] == [(5, ("-j8",)), (7, ()), (10, ("-k",))]
    assert found[1].build.environment == {"LANG": "de_DE.UTF-8"}
    assert [shlex.split(mail_builds.command(one)) for one in found[:2]] == [
        ["perf-matrix", "run", "--image", "debian-trixie", "--make", "LLVM=1", "--make", "NO_LIBELF=1"],
        [
            "perf-matrix", "run", "--image", "debian-trixie", "--make", "EXTRA_CFLAGS=-O0 -g", "--env",
            "LANG=de_DE.UTF-8", "--goal", "install-bin", "--out-of-tree",
        ],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "make", "goals"),
    [
        ("make -C tools/perf -j 8 NO_LIBBPF=1", {"NO_LIBBPF": "1"}, ()),
        ("make -j -C tools/perf", {}, ()),
        ("make --directory=tools/perf -l 4 all", {}, ("all",)),
        ("make --directory=drivers/net X=1", None, None),
        ("[me@host linux]$ make -C tools/perf util/map.o", {}, ("util/map.o",)),
        ("cd tools/perf && make NO_LIBBPF=1", {"NO_LIBBPF": "1"}, ()),
        ("make -C tools perf", None, None),
        ("make tools/perf", {}, ()),
        ("make -Ctools/perf", {}, ()),
        ("make --directory tools/perf -f Makefile.perf all", {}, ("all",)),
        ("sudo make -C linux/tools/perf install", {}, ("install",)),
        ("make NO_LIBPYTHON=1", {"NO_LIBPYTHON": "1"}, ()),
        ("make -C tools/perf JOBS=1", {}, ()),
        ("$ make -C tools/perf util/evsel.o", {}, ("util/evsel.o",)),
        ("make -C tools/perf util/evsel.o", None, None),
        ("make", None, None),
        ("make -j8", None, None),
        ("make defconfig", None, None),
        ("make -C tools/perf clean; make -C tools/bpf/bpftool", {}, ("clean",)),
        ("make -C tools/perf MAKEFLAGS=-j1", None, None),
        ("cmake -C tools/perf", None, None),
        ("$ nice -n19; make -C tools/perf", {}, ()),
        ("make -C tools/perf A=1 \\", {"A": "1"}, ()),
        ("make[1]: Entering directory 'tools/perf'", None, None),
        ("tools/perf: make it build", None, None),
        ("$ nice -n19 make -C tools/perf", {}, ()),
        ("bash-5.2$ make -C tools/perf util/map.o", {}, ("util/map.o",)),
        ("(venv) $ make -C tools/perf util/map.o", {}, ("util/map.o",)),
        ("make -C tools/perf DEBUG=1 DEBUG=0", {"DEBUG": "0"}, ()),
        ("make -C tools/perf O=", {}, ()),
        ("make -C tools/perf prefix=$HOME A=1", {"A": "1"}, ()),
        ("make -f /src/tools/build/Makefile.build dir=. obj=perf", None, None),
        ("make -C tools/perf -f Makefile.perf", {}, ()),
        ("$ make -C", None, None),
    ],
)
def test_a_line_is_a_build_of_perf_or_none(line: str, make: dict[str, str] | None, goals: Any) -> None:
    assert of(line) == ([] if make is None else [(make, goals, False)])


def test_what_a_proposal_leaves_out_is_named() -> None:
    [relative] = mail_builds.builds("make -C tools/perf O=../../out -k prefix=$HOME")[0]
    assert (relative.build.out_of_tree, relative.dropped) == (True, ("-k", "the form of O=../../out", "prefix=$HOME"))


def test_a_line_that_names_make_and_perf_and_is_no_build_is_told() -> None:
    text = "$ make -C tools/perf CFLAGS+=-O0\nmake[1]: Leaving directory 'tools/perf'\n$ make -C tools/bpf\n"
    assert mail_builds.builds(text) == ([], [(1, "$ make -C tools/perf CFLAGS+=-O0")])


def test_no_more_commands_are_read_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_builds, "MOST_COMMANDS", 2)
    assert len(mail_builds.builds("make -C tools/perf A=1\nmake -C tools/perf A=2\nmake -C tools/perf A=3\n")[0]) == 2


def test_the_tree_whose_version_is_named_is_proposed() -> None:
    names = ["6.12", "7.2", "7.3"]
    assert mail_builds.named_trees("v6.12.5 fails, 17.3 and 7.20 do not", names) == ["6.12"]
    assert mail_builds.named_trees("nothing", names) == []


def test_the_same_build_is_proposed_once_and_few_in_all() -> None:
    assert len(mail_builds.builds("make -C tools/perf A=1\n" * 3)[0]) == 1
    many = "".join(f"make -C tools/perf A={number}\n" for number in range(99))
    assert len(mail_builds.builds(many)[0]) == mail_builds.MOST_BUILDS


def test_a_line_goes_on_no_longer_than_its_bound() -> None:
    [one] = mail_builds.builds("make -C tools/perf \\\n" + "\\\n" * 90 + "A=1\n")[0]
    assert one.build.make == {"A": "1"}
    assert mail_builds.builds("make -C tools/perf \\\n" + "\\\n" * 5000 + "A=1\n")[0] == []


def test_a_mails_encodings_are_undone() -> None:
    body = base64.encodebytes(b"$ make -C tools/perf A=1\n")
    mail = b"From: a@example.org\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + body
    assert of(mail_builds.text_of(mail)) == [({"A": "1"}, (), False)]
    parts = b"From: a@b.example\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\n$ make tools/perf B=1\n--x\n"
    html = b"Content-Type: text/html\n\n<p>make tools/perf C=1\n--x--\n"
    assert of(mail_builds.text_of(parts + html)) == [({"B": "1"}, (), False)]
    quoted = b"Subject: x\nContent-Transfer-Encoding: quoted-printable\n\nmake -C tools/perf A=3D=\n1\n"
    assert of(mail_builds.text_of(quoted)) == [({"A": "1"}, (), False)]


def test_what_is_no_mail_is_its_text() -> None:
    assert mail_builds.text_of(b"make -C tools/perf \xff") == "make -C tools/perf �"


def test_a_mail_that_cannot_be_taken_apart_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="more than 4 MiB"):
        mail_builds.text_of(bytes(mail_builds.MAIL_BYTES + 1))
    monkeypatch.setattr("email.message_from_bytes", refuse)
    with pytest.raises(UsageError, match="cannot be taken apart: bad"):
        mail_builds.text_of(b"From: x\n\n")


def refuse(*_: object, **__: object) -> None:
    raise ValueError("bad")


def test_the_image_of_a_release_that_is_named_is_proposed() -> None:
    images = load.load().images.values()
    assert mail_builds.named_images("on Debian Bookworm", images) == ["debian-bookworm"]
    assert mail_builds.named_images("on trixie", images) == ["debian-trixie"]
    assert mail_builds.named_images("nowhere", images) == []
    assert mail_builds.named_images("gcc (Debian 12.2.0-14)", images) == ["debian-bookworm"]
    assert mail_builds.named_distros("Fedora 42 and ubuntu:24.04, not alpines") == ["Fedora", "Ubuntu"]
    assert mail_builds.named_distros("ARCH=arm64, the void, archlinux:base") == ["Arch"]


def test_a_mail_with_a_part_that_is_no_text_has_none() -> None:
    mail = b"From: a\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n\n\n--x--\n"
    assert mail_builds.builds(mail_builds.text_of(mail)) == ([], [])


def test_proposals_are_printed_and_nothing_is_run(places: Path) -> None:
    path = places / "report.txt"
    path.write_text(REPORT)
    shown = CliRunner().invoke(app, ["run", "--from-mail", str(path)])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert lines[:2] == [
        "line 5 of the text: make -C tools/perf LLVM=1 NO_LIBELF=1 -j8 (without -j8)",
        "  perf-matrix run --image debian-bookworm --make LLVM=1 --make NO_LIBELF=1",
    ]
    assert lines[-1] == "the report names Fedora, of which there is no image here"
    assert "line 3 of the text is not understood: make sure that" in shown.output
    more = ["--tree", "7.2", "--base", "7.3", "--toolchain", "clang", "-j", "4"]
    told = CliRunner().invoke(app, ["run", "--from-mail", str(path), *more])
    assert "--tree 7.2 --base 7.3 --toolchain clang -j 4 --make LLVM=1" in told.output
    data = CliRunner().invoke(app, ["run", "--from-mail", "-", "--image", "x", "--json"], input=REPORT)
    assert json.loads(data.output)[2] == {
        "line": 10,
        "make": "alias m='make -k CORESIGHT=1 O=/tmp/build/$PWD -C tools/perf install-bin'",
        "command": "perf-matrix run --image x --make CORESIGHT=1 --goal install-bin --out-of-tree",
        "dropped": ["-k"],
    }
    assert not (places / "state").exists()


def test_a_mail_without_a_build_and_a_file_that_is_not_there_say_so(places: Path) -> None:
    empty = CliRunner().invoke(app, ["run", "--from-mail", "-"], input="hello")
    assert "standard input has no make command of tools/perf" in str(empty.exception)
    gone = CliRunner().invoke(app, ["run", "--from-mail", str(places / "gone")])
    assert "cannot be read" in str(gone.exception)


@pytest.mark.parametrize(
    "words", [["--make", "A=1"], ["--detach", "--scheduler", "tcp://127.0.0.1:1"], ["--profile", "smoke"]]
)
def test_a_mail_goes_with_nothing_that_runs(words: list[str]) -> None:
    shown = CliRunner().invoke(app, ["run", "--from-mail", "-", *words], input=REPORT)
    assert isinstance(shown.exception, UsageError)


def test_no_distro_is_told_of_where_nothing_is_proposed() -> None:
    assert list(table.parts([], [], ["Fedora"])) == []
