from __future__ import annotations

import gzip
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from matrix.errors import InfrastructureError, UsageError
from matrix.model.result import Verdict
from matrix.model.tree import Delta
from matrix.repro import bundle, fetch, original, packing
from matrix.runs import store
from tests.unit import conftest as make
from tests.unit.results import done

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matrix.runs.store import Run

ONE, TWO = make.cell(), make.cell(what=make.build("static"))


def silent(_: str) -> None:
    """Say nothing."""


@contextmanager
def site(body: bytes, status: int = 200, times: int = 1) -> Iterator[str]:
    """Serve one body, `times` over, at any path, as a server that says it is gzip-encoded."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            try:
                for _ in range(times):
                    self.wfile.write(body)
            except OSError:  # the other side has heard enough
                pass

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/x.tar.gz"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def run(places: Path) -> Run:
    """Return a run of two cells of which one failed."""
    assert places
    kept = store.begin([ONE, TWO], ["7.3"], ["/srv/configs"], 2)
    kept.save(done(ONE))
    kept.save(done(TWO, verdict=Verdict.PASS))
    logs = kept.cell(ONE.id) / "logs"
    logs.mkdir()
    (logs / "build.log").write_bytes(b"made\n")
    return kept


def test_a_damaged_result_of_a_newer_run_stops_no_search_and_is_refused_where_the_run_is_named(run: Run) -> None:
    newer = store.Run(run.folder.with_name("9"))
    newer.save_settings(run.settings().model_copy(update={"run": "9"}))
    newer.save(done(TWO, reason="newer"))
    (newer.cell(TWO.id) / "result.json").write_text("{")
    assert original.of_cell(TWO.id, "").result.reason == ""
    with pytest.raises(UsageError, match="is no result"):
        original.of_cell(TWO.id, "9")


def test_a_cell_is_that_of_the_newest_run_that_has_it(run: Run) -> None:
    newer = store.Run(run.folder.with_name("9"))
    newer.save_settings(run.settings().model_copy(update={"run": "9"}))
    newer.save(done(TWO, reason="newer"))
    assert original.of_cell(TWO.id, "").result.reason == "newer"
    assert original.of_cell(TWO.id, run.name).result.reason == ""
    found = original.of_cell("debian-*/gcc/default", "")
    assert (found.own, found.logs) == (run, run.cell(ONE.id) / "logs")
    for name, where in (("", "any run of this machine"), (run.name, f"run {run.name}")):
        with pytest.raises(UsageError, match=f"'debian-trixie/gcc/defalt@7.3' is no result in {where}; did you mean"):
            original.of_cell("debian-trixie/gcc/defalt@7.3", name)
    with pytest.raises(UsageError, match=r"2 cells of run .* are meant\n  Name one of: debian-trixie/gcc/default@7"):
        original.of_cell("*", run.name)


def test_of_a_run_the_only_failure_is_meant(run: Run) -> None:
    assert original.of_run(run.name, "").result.id == ONE.id
    assert original.of_run(str(run.folder), "*/static").result.id == TWO.id
    run.save(done(TWO))
    with pytest.raises(UsageError, match="2 cells of run"):
        original.of_run(run.name, "")
    with pytest.raises(UsageError, match="'x' has no result in run"):
        original.of_run(run.name, "x")
    passed = done(TWO, verdict=Verdict.PASS)
    run.save(passed.model_copy(update={"id": ONE.id}))
    run.save(passed)
    with pytest.raises(UsageError, match=rf"no cell of run {run.name} failed\n  Name one of: {ONE.id}, {TWO.id}"):
        original.of_run(run.name, "")


def test_of_several_failures_one_must_be_named(run: Run) -> None:
    run.save(done(TWO))
    third = make.cell(what=make.build("third"))
    run.extend([third.id], [])
    run.save(done(third, verdict=Verdict.PASS))
    with pytest.raises(UsageError, match=rf"2 cells of run .* are meant\n  Name one of: {ONE.id}, {TWO.id}$"):
        original.of_run(run.name, "")


def test_a_file_of_our_own_run_is_believed_and_any_other_is_not(run: Run, places: Path) -> None:
    own = run.cell(ONE.id) / "result.json"
    assert original.of_file(own).own == run
    copy = places / "result.json"
    copy.write_bytes(own.read_bytes())
    assert original.of_file(copy).own is None
    forged = done(ONE, jobs=3).model_copy(update={"jobs": 2})
    copy.write_text(forged.model_dump_json())
    with pytest.raises(UsageError, match="is not what its build gives"):
        original.of_file(copy)
    beside = run.folder / "result.json"
    beside.write_text(done(ONE).model_dump_json())
    assert original.of_file(beside).own is None
    elsewhere = store.Run(places / "copied")
    elsewhere.save_settings(run.settings())
    elsewhere.save(done(ONE))
    assert original.of_run(str(elsewhere.folder), "").own is None


def test_logs_are_those_that_a_bundle_takes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = original.of_run(run.name, "")
    assert first.logs is not None
    (first.logs / "link.log").symlink_to("/etc/passwd")
    (first.logs / "Other").write_text("")
    (first.logs / "folder").mkdir()
    (first.logs / "long.log").write_bytes(b"begin" + bytes(100) + b"end")
    monkeypatch.setattr(bundle, "LOG_BYTES", 8)
    assert packing.logs(first) == {"build.log": b"made\n", "long.log": b"begin" + bytes(8) + b"end"}
    assert packing.logs(original.Original(done())) == {}
    assert packing.logs(original.of_cell(TWO.id, "")) == {}


def test_a_bundle_is_fetched_as_it_is(places: Path) -> None:
    packed = bundle.pack(done(), {}, None)
    with site(packed) as url:
        assert original.of_bundle(url, silent).result.id == ONE.id
    file = places / "b.tar.gz"
    file.write_bytes(packed)
    assert original.of_bundle(str(file), silent).result.id == ONE.id
    with site(b"", 404) as url, pytest.raises(InfrastructureError, match="could not be fetched: 404"):
        original.of_bundle(url, silent)


def test_no_more_than_a_bundle_can_have_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "FILE_BYTES", 4 << 20)
    with site(gzip.compress(bytes(1 << 20), 0), times=1 << 20) as url:
        with pytest.raises(UsageError, match="it is larger than 4 MiB"):
            original.of_bundle(url, silent)
        monkeypatch.setattr(fetch, "PATIENCE_S", -1)
        with pytest.raises(InfrastructureError, match="is too slow"):
            original.of_bundle(url, silent)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file:///etc/passwd", "is no http or https address"),
        ("ftp://x/y", "is no http or https address"),
        ("/dev/zero", "is no file"),
        ("/nowhere", "is no file"),
    ],
)
def test_what_is_neither_a_file_nor_an_address_is_refused(place: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        original.of_bundle(place, silent)


def test_the_patch_is_what_git_says_the_commits_differ_by(run: Run, tmp_path: Path) -> None:
    tmp_path = tmp_path / "repository"
    tmp_path.mkdir()

    def git(*words: str) -> str:
        argv = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    commits = []
    for text in ("one\n", "two\n"):
        (tmp_path / "file").write_text(text)
        git("add", "file")
        git("commit", "-qm", text)
        commits.append(git("rev-parse", "HEAD"))
    delta = Delta(repository=str(tmp_path), base=commits[0], commit=commits[1], sha256="0")
    given = done(make.cell(on=make.tree(delta=delta)))
    assert b"-one\n+two\n" in (packing.patch(original.Original(given, own=run)) or b"")
    assert packing.patch(original.Original(done(), own=run)) is None
    with pytest.raises(UsageError, match="has a patch, which is in a repository of its sender's"):
        packing.patch(original.Original(given))
    for bad in (delta.model_copy(update={"commit": "--output=/tmp/x"}), delta.model_copy(update={"repository": "/no"})):
        with pytest.raises(UsageError, match="cannot be made"):
            packing.patch(original.Original(done(make.cell(on=make.tree(delta=bad))), own=run))


def test_a_bundle_names_none_of_our_places(run: Run, places: Path) -> None:
    first = original.of_run(run.name, "")
    assert {str(run.folder), "/srv/configs", str(places / "state")} <= set(packing.places(first))
    assert str(run.folder) not in packing.places(original.Original(done()))
