from __future__ import annotations

import json
import os
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from matrix.engine import backends, doctor
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INFO = {"KernelVersion": "6.1", "Architecture": "x86_64", "Driver": "overlay2", "NCPU": 2, "MemTotal": 8 << 30}


class Answers(BaseHTTPRequestHandler):
    """Answers as a Docker engine does to who asks what it is."""

    def do_GET(self) -> None:
        said: Any = {"/version": {"ApiVersion": "1.41", "Version": "20"}, "/info": INFO, "/volumes": {"Volumes": None}}
        said |= {"/containers/json": [], "/images/json": []}
        body = next((json.dumps(said[end]) for end in said if self.path.partition("?")[0].endswith(end)), "OK").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a unix socket"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Babbles(socketserver.BaseRequestHandler):
    """Answers as nothing that is an engine does."""

    def handle(self) -> None:
        self.request.sendall(b"what?\n")


class Server(socketserver.ThreadingUnixStreamServer):
    """A server that does not mind when a client has gone before it answers."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the address of a socket at which a handler answers."""
    path = tmp_path / "engine.sock"
    with Server(str(path), request.param) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"unix://{path}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("served", [Answers], indirect=True)
def test_the_engine_that_answers_is_connected_to_with_the_session(served: str) -> None:
    engine = backends.connect(served, "a-session")
    assert engine.describe()["url"] == served
    assert "a-session" in vars(engine).values()


@pytest.mark.parametrize("served", [Answers], indirect=True)
def test_without_a_host_the_variable_says_where_the_engine_is(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", served)
    assert backends.connect().describe()["url"] == served


@pytest.mark.parametrize("served", [Babbles], indirect=True)
def test_what_listens_and_is_no_engine_is_none(served: str) -> None:
    with pytest.raises(InfrastructureError, match="no container engine answers"):
        backends.connect(served)


def test_where_no_engine_answers_it_says_where_was_looked_and_what_to_do(tmp_path: Path) -> None:
    host = f"unix://{tmp_path}/no.sock"
    with pytest.raises(InfrastructureError, match=r"(?s)no container engine answers.*engine up") as caught:
        backends.connect(host)
    assert host in str(caught.value)
    assert str(caught.value).count("unix://") == 1, "with a host, nowhere else is looked"


def test_where_the_users_own_engine_does_not_answer_it_says_that_no_other_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    with pytest.raises(InfrastructureError, match="DOCKER_HOST names the only engine that is tried: correct it"):
        backends.connect()


def test_a_socket_that_this_user_may_not_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "engine.sock"
    path.touch()
    with pytest.raises(InfrastructureError, match=f"looked at unix://{path}\\)"):
        backends.connect(f"unix://{path}")
    monkeypatch.setattr("os.access", lambda _, mode: mode == os.F_OK)  # root may do all
    with pytest.raises(InfrastructureError, match=f"unix://{path}, which this user may not use: join the group of"):
        backends.connect(f"unix://{path}")


def test_every_place_that_was_looked_at_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = [f"unix://{tmp_path}/{name}.sock" for name in ("one", "two", "one")]

    class Nowhere:
        def hosts(self) -> list[str]:
            return sockets

        def connect(self, host: str, session: str) -> None:
            assert (host, session) in {(one, "s") for one in sockets}

    monkeypatch.setattr("matrix.registry.load", lambda *_: {"nowhere": Nowhere()})
    with pytest.raises(InfrastructureError) as caught:
        backends.connect(session="s")
    assert f"looked at {sockets[0]}; {sockets[1]})" in str(caught.value)


@pytest.mark.parametrize("served", [Answers], indirect=True)
def test_the_doctor_tells_what_the_engine_has(served: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {need.what: need for need in doctor.examine(served)}
    assert needs["container engine"].found.endswith(f"at {served}")
    assert needs["overlay storage"].is_met
    assert needs["memory"].is_met
    assert needs["memory"].found.startswith("8.0 GiB")
    monkeypatch.setitem(INFO, "Driver", "vfs")
    monkeypatch.setitem(INFO, "MemTotal", 1 << 30)
    needs = {need.what: need for need in doctor.examine(served)}
    assert not needs["overlay storage"].is_met
    assert not needs["memory"].is_met


def test_the_doctor_says_what_to_do_where_there_is_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "git").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    [git] = [need for need in doctor.examine(f"unix://{tmp_path}/none") if need.what == "git"]
    assert (git.found, git.is_met) == (str(tmp_path / "git"), True)
    (tmp_path / "git").unlink()
    [git] = [need for need in doctor.examine(f"unix://{tmp_path}/none") if need.what == "git"]
    assert "install git" in git.found
    assert not git.is_met
