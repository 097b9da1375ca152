from __future__ import annotations

import io
import shlex
import tarfile
from typing import Any

import pytest

from matrix.model.build import Expect
from matrix.model.cell_id import Place
from matrix.model.edit import Change, Edit, Expected
from matrix.model.image import Bootstrap
from matrix.model.result import CellResult, CheckResult, Finding, ImageIdentity, StepResult, TreeIdentity, Verdict
from matrix.model.tree import Delta
from matrix.repro import bundle, redaction
from tests.unit import conftest as make
from tests.unit.results import done

PLANTED = "/home/alice/secret dir/x"
RUN = "/srv/secret/state/runs/1"


def text(packed: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr] # all are files


def planted() -> CellResult:
    """Return a result with private places in every string field that a name's pattern does not bind."""
    place = f"/home/alice/secret; -I{RUN}/secret and '/root/secret'"
    image = make.image(
        install=place, packages=(place,), setup=(place,), lacks={place: place},
        toolchains={"gcc": {"CC": place}},
    )  # fmt: skip
    bootstrap = Bootstrap(suite=place, variant=place, components=(place,), apt_options=(place,))
    image = image.model_copy(
        update={"summary": place, "base": image.base.model_copy(update={"pull": place, "bootstrap": bootstrap})}
    )
    what = make.build(
        make={"EXTRA": place}, environment={"LIB": place}, perf_tests=(place,),
        expect=Expect(options={place: "on"}, features={place: "1"}, processes={place: 1}),
    )  # fmt: skip
    what = what.model_copy(update={"summary": place})
    faults = Expected(check="clean", cells=(Place("i/t/b"),), findings=(place,), evidence=place)
    changes = (Change(file="a/b", find=place, replace=place), Change(file="c", add=place))
    edit = Edit(name="e", summary=place, trees=(place,), changes=changes, expect=faults, equivalent=place)
    source = f"git:{PLANTED}@v7.1"
    tree = make.tree(
        "t+e", summary=source, source=source, lacks={place: place}, renamed_tests={place: place}, touch_source=place,
        touch_header=place, barriers={place: (place,)}, edits=(edit,),
        delta=Delta(repository="/srv/secret/linux", base="1", commit="2", sha256="0"),
    )  # fmt: skip
    cell = make.cell(of=image, what=what, on=tree)
    finding = Finding(kind="k", subject=place, expected=place, actual=place, evidence=place, where=place, known=place)
    step = StepResult(name="x", command=place, verdict=Verdict.FAIL, reason=place, log=place)
    check = CheckResult(
        check="clean", verdict=Verdict.FAIL, findings=(finding,), reason=place, figures={place: place}
    )  # fmt: skip
    host = dict.fromkeys((*redaction.HOST, "url", "hostname", place), place)
    identity = TreeIdentity(
        name="t+e", source=source, sha256=place, version=place, origin=f"{PLANTED}@v7.1 (0123456789ab), edited: e"
    )
    return done(
        cell,
        image=ImageIdentity(name=image.name, tag=place, digest=place, base=place, packages={place: place}),
        tree=identity, host=host, reason=place, program_sha256=place, started=place, checks=(check,),
        reproduce=shlex.join(["perf-matrix", "run", "--configs", "/opt/secret/configs", "--tree", source]),
        steps=(*done(cell).steps, step),
    )  # fmt: skip


def test_no_private_place_is_left_in_any_field(monkeypatch: pytest.MonkeyPatch) -> None:
    given = planted()
    assert given.model_dump_json().count("secret") > 60
    bare = redaction.result(given, [RUN])
    assert "secret" not in bare.model_dump_json()
    assert "alice" not in bare.model_dump_json()
    assert bare.host.keys() == set(redaction.HOST)
    assert bare.reproduce == "perf-matrix repro --from BUNDLE"
    assert bare.definition is not None
    assert bare.definition.tree.source == bare.definition.tree.summary == "git:private@v7.1"
    assert bare.tree is not None
    assert bare.tree.origin == "v7.1 (0123456789ab), edited: e"
    assert bare.make == bare.definition.make
    assert bare.steps[-1].command == "/PRIVATE; -I/PRIVATE and '/PRIVATE'"
    monkeypatch.setattr(bundle, "LOG_BYTES", 1 << 20)
    known = given.model_copy(update={"steps": given.steps[:-1]})
    logs = {"build.log": f"cc -I{PLANTED}/secret.h \udcff /opt/secret/configs {RUN}/logs\n".encode(errors="replace")}
    files = text(bundle.pack(known, logs, b"diff", [RUN]))
    assert not [name for name, content in files.items() if b"secret" in content or b"alice" in content]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("git:/srv/linux@v7.1", "git:private@v7.1"),
        ("git:~/linux@a b", "git:private"),
        ("git:/srv/linux", "git:private"),
        ("dir:../linux", "dir:private"),
        ("tar:https://user:password@intern/linux.tar", "tar:private"),
        ("tar:https://cdn.kernel.org/pub/linux/linux-7.1.tar.xz", "tar:https://cdn.kernel.org/pub/linux/linux-7.1.tar.xz"),
        ("tar:https://cdn.kernel.org/x?token=1", "tar:private"),
        ("deb:linux-source-7.3@trixie", "deb:linux-source-7.3@trixie"),
    ],
)  # fmt: skip
def test_of_a_source_the_scheme_the_revision_and_what_is_public_are_left(given: str, kept: str) -> None:
    rest = given.partition(":")[2].rpartition("@")
    more: dict[str, Any] = {"version": "1", "sha256": "2", "name": "t", "origin": rest[0] or rest[2]}
    cell = make.cell(on=make.tree("t", source=given))
    bare = redaction.result(done(cell, tree=TreeIdentity(source=given, **more)), [])
    assert bare.definition is not None
    assert bare.tree is not None
    assert (bare.definition.tree.source, bare.tree.source) == (kept, kept)
    assert bare.tree.origin == ("private" if kept != given else more["origin"])


def test_a_cells_own_folders_stay() -> None:
    own = "/src/tools/perf /out /tmp/home/.debug /usr/lib /agent/start-method sysroot /rootfs"
    assert redaction.text(own, ["/", "/usr", "/src/", "private", ""]) == own
    assert redaction.text("/home/a/b:/var/home/c /root", []) == "/PRIVATE:/var/PRIVATE /PRIVATE"
    assert redaction.text("/srv/x/y-z/a, /srv/x", ["/srv/x/y", "/srv/x/"]) == "/PRIVATE, /PRIVATE"


def test_what_reproduces_a_result_need_not_be_a_command() -> None:
    given = done(make.cell(on=make.tree(source="dir:/srv/a")), tree=None, reproduce="--configs '/srv/b", host={})
    assert redaction.private(given) == ("/srv/a",)
    assert redaction.result(given, []).host == {}
