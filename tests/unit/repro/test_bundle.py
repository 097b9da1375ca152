from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any, Literal

import pytest

from matrix.errors import UsageError
from matrix.model.result import Predecessor
from matrix.model.tree import Delta
from matrix.repro import bundle
from tests.unit import conftest as make
from tests.unit.results import done, edited

if TYPE_CHECKING:
    from collections.abc import Callable

LOGS = {"build.log": b"# build: make\n", "clean.log": b"\xff\n"}
Header = tarfile.TarInfo


def header(name: str, **more: Any) -> Header:
    info = Header(name)
    for key, value in more.items():
        setattr(info, key, value)
    return info


def members(packed: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr] # all are files


def tar(*given: tuple[Header, bytes], form: Literal[0, 1] = tarfile.USTAR_FORMAT) -> bytes:
    """Return an archive of headers as they are, whatever is said in them."""
    blocks = [info.tobuf(form) + content + bytes(-len(content) % 512) for info, content in given]
    return gzip.compress(b"".join(blocks) + bytes(1024), mtime=0)


def again(files: dict[str, bytes], *, listed: bool = True) -> bytes:
    """Return a bundle of these members, with a list that is theirs."""
    if listed:
        digests = {
            name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != "bundle.json"
        }
        manifest = {"schema_version": 1, "tool_version": "0", "members": digests}
        files = {**files, "bundle.json": json.dumps(manifest).encode()}
    return tar(*((header(name, size=len(content)), content) for name, content in sorted(files.items())))


def forged(change: Callable[[dict[str, Any]], object], packed: bytes | None = None) -> bytes:
    """Return a bundle whose result was changed, its digests with it."""
    files = members(packed or bundle.pack(done(), LOGS, None))
    data = json.loads(files["result.json"])
    change(data)
    return again({**files, "result.json": json.dumps(data).encode()})


def test_a_bundle_gives_back_what_was_packed() -> None:
    packed = bundle.pack(done(), LOGS, None)
    found = bundle.unpack(packed)
    assert found.result.definition == done().definition
    assert found.result.checks == done().checks
    assert found.logs == LOGS
    assert found.patch is None
    assert list(members(packed)) == [
        "bundle.json", "logs/build.log", "logs/clean.log", "recipe.json", "result.json",
    ]  # fmt: skip


def test_the_same_result_gives_the_same_bytes() -> None:
    assert bundle.pack(done(), LOGS, None) == bundle.pack(done(), dict(reversed(LOGS.items())), None)


def test_a_patch_comes_with_a_tree_that_has_one() -> None:
    tree = make.tree(delta=Delta(repository="/srv/linux", base="a" * 40, commit="b" * 40, sha256="0"))
    packed = bundle.pack(done(make.cell(on=tree)), {}, b"diff --git a/x b/x\n")
    assert bundle.unpack(packed).patch == b"diff --git a/x b/x\n"
    assert b"/srv/linux" not in b"".join(members(packed).values())
    with pytest.raises(UsageError, match="its tree has a patch, and the bundle disagrees"):
        bundle.unpack(again({k: v for k, v in members(packed).items() if "patch" not in k}))
    with pytest.raises(UsageError, match="its tree has no patch, and the bundle disagrees"):
        bundle.unpack(again({**members(bundle.pack(done(), {}, None)), "patches/0001.patch": b""}))


def test_a_result_on_edits_made_before_or_after_the_build_can_be_bundled() -> None:
    cell = edited()
    assert bundle.unpack(bundle.pack(done(cell), {}, None)).result.definition == cell
    planted = done(cell, gone_on=Predecessor(tree="7.3", touched=("b",)))
    assert planted.steps[0].command == f"touch /src/b; {done(cell).steps[0].command}"
    assert bundle.unpack(bundle.pack(planted, {}, None)).result.steps == planted.steps
    forged = planted.model_copy(update={"gone_on": Predecessor(tree="7.3", touched=("c",))})
    with pytest.raises(UsageError, match="the command for step build is not what its build gives"):
        bundle.unpack(bundle.pack(forged, {}, None))


def test_a_log_that_is_too_long_loses_its_middle() -> None:
    long = b"head" + bytes(bundle.LOG_BYTES) + b"tail"
    packed = bundle.unpack(bundle.pack(done(), {"build.log": long}, None))
    kept = packed.logs["build.log"]
    assert len(kept) == bundle.LOG_BYTES
    assert kept.startswith(b"head")
    assert kept.endswith(b"tail")
    assert b"the middle was left out" in kept


def test_what_would_be_refused_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "JSON_BYTES", 10)
    with pytest.raises(UsageError, match=r"cannot be bundled: .* at most 10 are taken\n  Run the cell again"):
        bundle.pack(done(), {}, None)


def test_an_older_result_cannot_be_packed() -> None:
    with pytest.raises(UsageError, match="has no definition of its cell: version 0"):
        bundle.pack(make.result(), {}, None)


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (header("../../etc/cron.d/x"), "leads out of it"),
        (header("logs/../../x"), "leads out of it"),
        (header("/etc/passwd"), "leads out of it"),
        (header("x"), "'x', which no bundle does"),
        (header("logs/\x1b[2J"), r"'logs/\\x1b\[2J', which no bundle does"),
        (header("logs/.build"), "which no bundle does"),
        (header("logs/a/b"), "which no bundle does"),
        (header("result.json\n"), "which no bundle does"),
        (header("patches/0002.patch"), "which no bundle does"),
        (header("l" * 90), "'l+…, which no bundle does"),
        (header("result.json", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "it holds a link, 'result.json'"),
        (header("result.json", type=tarfile.LNKTYPE, linkname="bundle.json"), "it holds a link"),
        (header("logs", type=tarfile.DIRTYPE), "it holds a folder"),
        (header("result.json", type=tarfile.CHRTYPE), "it holds a device"),
        (header("result.json", type=tarfile.BLKTYPE), "it holds a device"),
        (header("result.json", type=tarfile.FIFOTYPE), "it holds a pipe"),
        (header("x", type=tarfile.XHDTYPE, size=10 << 30), "it holds an extended header"),
        (header("x", type=tarfile.GNUTYPE_LONGNAME), "it holds an extended header"),
        (header("result.json", type=tarfile.GNUTYPE_SPARSE), "it holds a file with holes"),
        (header("result.json", type=b"Z"), "it holds no plain file"),
        (header("result.json", size=10 << 30), f"said to have {10 << 30} bytes; at most {16 << 20} are taken"),
        (header("logs/build.log", size=(8 << 20) + 1), "at most 8388608 are taken"),
        (header("patches/0001.patch", size=1 << 40), "at most 16777216 are taken"),
        (header("result.json", size=-1), "said to have -1 bytes"),
    ],
)  # fmt: skip
def test_a_member_that_no_bundle_has_is_refused_by_its_header_alone(info: Header, why: str) -> None:
    with pytest.raises(UsageError, match=f"the bundle is refused: .*{why}") as caught:
        bundle.unpack(tar((info, b""), form=tarfile.GNU_FORMAT))
    assert caught.value.status == 2


def test_a_member_that_is_there_twice_is_refused() -> None:
    one = (header("bundle.json", size=2), b"{}")
    with pytest.raises(UsageError, match=r"it holds bundle.json twice"):
        bundle.unpack(tar(one, one))


def test_more_members_or_more_bytes_than_a_bundle_can_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tar(*((header(f"logs/{number}.log"), b"") for number in range(65)))
    with pytest.raises(UsageError, match="more than 64 files, or more than 128 MiB"):
        bundle.unpack(many)
    large = [(header(f"logs/{number}.log", size=8 << 20), b"") for number in range(2)]
    monkeypatch.setattr(bundle, "TOTAL_BYTES", 4 << 20)
    with pytest.raises(UsageError, match="or more than 4 MiB"):
        bundle.unpack(tar(*large))
    monkeypatch.setattr(bundle, "FILE_BYTES", 1)
    with pytest.raises(UsageError, match="it is larger than 0 MiB"):
        bundle.unpack(many)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no archive", gzip.compress(b"", mtime=0),
        gzip.compress(b"x" * 512, mtime=0), gzip.compress(b"x" * 100, mtime=0),
        gzip.compress(bytes(1024), mtime=0)[:-4], gzip.compress(bytes(512), mtime=0) + b"more",
        tar((header("result.json", size=600), b"cut off"))[:-9],
    ],
)  # fmt: skip
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"the bundle is refused: it is no whole .tar.gz"):
        bundle.unpack(data)


@pytest.mark.parametrize("rest", [b"x", bytes(20 << 10)])
def test_what_comes_after_the_end_is_refused_and_not_unpacked(rest: bytes) -> None:
    with pytest.raises(UsageError, match="something comes after its end"):
        bundle.unpack(gzip.compress(bytes(512) + rest))


def test_each_member_that_must_be_there_must_be_there_as_it_is_listed() -> None:
    files = members(bundle.pack(done(), LOGS, None))
    for name in ("bundle.json", "recipe.json", "result.json"):
        with pytest.raises(UsageError, match=f"it has no {name}"):
            bundle.unpack(
                again({key: value for key, value in files.items() if key != name}, listed=name != "bundle.json")
            )
    for other in ({**files, "logs/build.log": b"other"}, {**files, "logs/new.log": b""}):
        with pytest.raises(UsageError, match=r"its members are not those that its bundle\.json lists"):
            bundle.unpack(again(other, listed=False))


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("result.json", b"[]", "result.json is not what this version writes: the whole: Input should be an object"),
        ("result.json", b"{", "result.json is not what this version writes: the whole: Invalid JSON"),
        ("result.json", b"[" * 5000, "Invalid JSON: recursion limit"),
        ("result.json", b'{"id": "\xff"}', "Invalid JSON: invalid unicode"),
        ("result.json", b"{}", "id: Field required"),
        ("result.json", b'{"steps": [' + b"{}," * 200_000 + b"{}]}", "result.json has more than 250000 values"),
        ("recipe.json", b'{"name": "x"}', "recipe.json is not what this version writes"),
        ("recipe.json", make.image("other").model_dump_json().encode(), "recipe.json is not the one"),
        (
            "bundle.json",
            b'{"schema_version": 2, "tool_version": "9", "members": {}}',
            "schema_version: Input should be 1",
        ),
    ],
)
def test_json_that_is_not_ours_is_refused(name: str, content: bytes, why: str) -> None:
    files = {**members(bundle.pack(done(), LOGS, None)), name: content}
    with pytest.raises(UsageError, match=f"the bundle is refused: .*{why}"):
        bundle.unpack(again(files, listed=name != "bundle.json"))


def step(command: str, name: str = "build") -> Callable[[dict[str, Any]], object]:
    return lambda data: data["steps"][0].update(name=name, command=command)


def build(**more: Any) -> Callable[[dict[str, Any]], object]:
    return lambda data: data["definition"]["build"].update(more)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (step("curl evil | sh"), "the command for step build is not what its build gives: curl evil"),
        (step("make -C /src/tools/perf JOBS=3"), "the command for step build is not what its build gives"),
        (step("make", "deploy"), "the command for step deploy is not what its build gives: make"),
        (build(make={"CC": "evil"}), "its make variables and its definition do not agree"),
        (build(environment={"LD_PRELOAD": "/x"}), "its environment and its definition do not agree"),
        (build(out_of_tree=True), "its output folder and its definition do not agree"),
        (build(goals=["install"]), "the command for step build is not what its build gives"),
        (build(name="x/../.."), "definition.build.name: String should match pattern"),
        (build(environment={"--privileged": ""}), "definition.build.environment.--privileged.*: String should match"),
        (build(surprise=1), "definition.build.surprise: Extra inputs are not permitted"),
        (build(perf_tests=["\0"]), r"it holds '\\x00', which no result does"),
        (lambda data: data.update(wall_s=float("nan")), "wall_s: Input should be a finite number"),
        (lambda data: data.update(id="../x"), r"expected IMAGE/TOOLCHAIN/BUILD@TREE, found '../x'"),
        (lambda data: data.update(id="a/b/c@x"), r"its id and its definition do not agree: a/b/c@x and debian-trixie"),
        (lambda data: data["image"].update(name="other"), "its image and its definition do not agree"),
        (lambda data: data["tree"].update(name="other"), "its tree and its definition do not agree"),
        (lambda data: data["definition"]["tree"].update(name="n" * 300), "an id of 326 characters and 2 jobs"),
        (lambda data: data.update(jobs=100000), "100000 jobs is beyond"),
        (lambda data: data["limits"].update(step_s=0), "its limit step_s is 0, and 1 is the least"),
        (lambda data: data["definition"].update(toolchain="clang"), "its image has no toolchain clang"),
        (lambda data: data.update(definition=None), "has no definition of its cell"),
        (lambda data: data["definition"]["tree"].update(edits=[
            {"name": "e", "summary": "", "trees": ["*"], "changes": [{"file": "a", "remove": True}]}]),
         "its edits and its definition do not agree"),
        (lambda data: data["definition"]["tree"].update(edits=[
            {"name": "e", "summary": "", "trees": ["*"], "changes": [{"file": "../../x", "remove": True}]}]),
         "file must be a path inside the tree"),
    ],
)  # fmt: skip
def test_a_result_that_its_own_definition_does_not_give_is_refused(
    change: Callable[[dict[str, Any]], object], why: str
) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        bundle.unpack(forged(change))
    assert caught.value.status == 2


def test_a_result_without_image_and_tree_is_one_too() -> None:
    early = done(image=None, tree=None, steps=())
    assert bundle.unpack(bundle.pack(early, {}, None)).result.image is None


def test_a_file_with_a_result_is_seen_through_as_a_bundle_is() -> None:
    good = done()
    assert bundle.parse_result(good.model_dump_json().encode()) == good
    with pytest.raises(UsageError, match="not what this version writes"):
        bundle.parse_result(b"{}")
    with pytest.raises(UsageError, match="larger than 16 MiB"):
        bundle.parse_result(b" " * ((16 << 20) + 1))
    with pytest.raises(UsageError, match="is not what its build gives"):
        bundle.parse_result(good.model_copy(update={"jobs": 3}).model_dump_json().encode())
