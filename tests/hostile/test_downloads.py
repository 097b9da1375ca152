"""Servers that a stranger runs: what they do ends in bounded time and bytes, and what nobody vouches for is said."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from matrix.credentials import refuse_credentials
from matrix.errors import InfrastructureError, UsageError
from matrix.repro import fetch
from matrix.trees import download, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("places")
DRIP_S = 0.02


@contextmanager
def serving(answer: Callable[[Any], None]) -> Iterator[str]:
    """Serve any address by a function of the request's handler."""

    class AnswerHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:  # the other side has heard enough
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), AnswerHandler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/x.tar"
        finally:
            server.shutdown()
            thread.join()


def dripping(handler: Any, ended: threading.Event) -> None:
    while not ended.wait(DRIP_S):
        handler.wfile.write(b"x")
        handler.wfile.flush()


@contextmanager
def slow(*, headers: bool) -> Iterator[str]:
    """Serve a byte now and then, for ever: of the content or, with `headers`, of the headers."""
    ended = threading.Event()

    def answer(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nX-" + (b"" if headers else b"A: b\r\n\r\n"))
        dripping(handler, ended)

    with serving(answer) as url:
        try:
            yield url
        finally:
            ended.set()


@pytest.mark.parametrize("headers", [False, True], ids=["content", "headers"])
def test_a_byte_now_and_then_does_not_hold_a_download_for_ever(
    monkeypatch: pytest.MonkeyPatch, *, headers: bool
) -> None:
    monkeypatch.setattr(download, "TIME_S", 0.3)
    with (
        slow(headers=headers) as url,
        pytest.raises(InfrastructureError, match=r"could not be downloaded: .* too slow"),
    ):
        download.download(url, "", lambda _: None)


@pytest.mark.parametrize("headers", [False, True], ids=["content", "headers"])
def test_a_byte_now_and_then_does_not_hold_a_bundle_for_ever(monkeypatch: pytest.MonkeyPatch, *, headers: bool) -> None:
    monkeypatch.setattr(fetch, "PATIENCE_S", 0.3)
    with slow(headers=headers) as url, pytest.raises(InfrastructureError, match="too slow"):
        fetch.fetched(url, 1 << 20, lambda _: None)


def test_a_download_without_an_end_is_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            handler.wfile.write(bytes(1 << 20))

    monkeypatch.setattr(download, "FILE_BYTES", 4 << 20)
    with serving(answer) as url, pytest.raises(UsageError, match="has more than 0 GiB"):
        download.download(url, "", lambda _: None)


CONTENT = b"an archive"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def whole(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(CONTENT), CONTENT))


def test_plain_http_without_a_checksum_is_said_each_time() -> None:
    said: list[str] = []
    with serving(whole) as url:
        for _ in range(2):
            sources.open_source(f"tar:{url}", None, said.append)  # type: ignore[arg-type] # needs no engine
        with pytest.raises(InfrastructureError, match="sha256 of the download is"):
            sources.open_source(f"tar:{url}#sha256={'0' * 64}", None, said.append)  # type: ignore[arg-type] # no engine
        plain = [line for line in said if "comes by plain http" in line]
        assert len(plain) == 2
        sources.open_source(f"tar:{url}#sha256={DIGEST}", None, said.append)  # type: ignore[arg-type] # no engine
    assert [line for line in said if "comes by plain http" in line] == plain
    told: list[str] = []
    with serving(whole) as url:
        assert fetch.fetched(url, 100, told.append) == CONTENT
    assert "comes by plain http" in told[0]


@pytest.mark.parametrize("fragment", ["sha256=0", "md5=0", "sha512=" + "0" * 64, "x"])
def test_a_checksum_that_is_none_is_not_taken_for_one(fragment: str) -> None:
    with pytest.raises(UsageError, match="is no checksum"):
        sources.open_source(f"tar:https://example.org/x.tar#{fragment}", None, print)  # type: ignore[arg-type] # no engine


def test_a_way_from_https_to_plain_http_is_refused_without_a_checksum() -> None:
    addresses = ("https://example.org/x.tar", "http://user:secret@example.org/x.tar?token=abc")
    with pytest.raises(UsageError, match=r"leads to plain http.*: http://…@example.org/x.tar\?…"):
        download._check_addresses(addresses[0], addresses, may_be_plain=False)
    download._check_addresses(addresses[0], addresses, may_be_plain=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:secret@example.org/x.tar",
        "https://secret@example.org/x.tar",
        "https://example.org/x.tar?X-Amz-Signature=secret&x=1",
        "https://example.org/x.tar?a=1&private_token=secret",
        "https://example.org/x.tar?sig=secret",
    ],
)
def test_an_address_with_credentials_is_refused_without_them(url: str) -> None:
    with pytest.raises(UsageError, match="credentials in an address") as first:
        refuse_credentials(url)
    with pytest.raises(UsageError, match="credentials in an address") as second:
        fetch.fetched(url, 1, lambda _: None)
    with pytest.raises(UsageError, match="credentials in an address") as third:
        sources.open_source(f"tar:{url}", None, lambda _: None)  # type: ignore[arg-type] # needs no engine
    assert not any("secret" in str(raised.value) for raised in (first, second, third))


@pytest.mark.parametrize("name", ["..", ".", "", "a/../..", "%2e%2e", "x" * 5000, "a\0b", "linux.lock", "é.tar"])
def test_an_address_names_no_file_outside_of_its_folder_of_the_cache(name: str) -> None:
    found = download._file_name(f"https://example.org/{name}")
    assert found
    assert len(found) <= download.NAME_CHARS
    assert not {"/", "\0"} & {*found}
    assert not found.startswith(".")
