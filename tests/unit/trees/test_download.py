from __future__ import annotations

import hashlib
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from matrix import files
from matrix.errors import InfrastructureError
from matrix.trees import download, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTENT = os.urandom(4 << 20)


@dataclass
class Site:
    """One file at a server of this machine that breaks the first `breaks` connections off after `after` bytes.

    `version` is the file's ETag, or none; with `careless` the server heeds no condition of a request.
    """

    breaks: int = 0
    after: int = 5 << 19
    ranges: bool = True
    status: int = 200
    content: bytes = CONTENT
    version: str = '"1"'
    careless: bool = False
    asked: list[str] = field(default_factory=list)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    site: ClassVar[Site]

    def do_GET(self) -> None:
        site = self.site
        wanted = self.headers.get("Range", "")
        site.asked.append(wanted)
        is_met = site.careless or self.headers.get("If-Range") == site.version
        start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0) if site.ranges and is_met else 0
        if site.status != 200 or start >= len(site.content):
            self.send_response(416 if start else site.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = site.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
        if site.version:
            self.send_header("ETag", site.version)
        self.end_headers()
        if len(site.asked) <= site.breaks:
            self.wfile.write(body[: site.after])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    handler = type("SiteHandler", (Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}/linux.tar"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


def silent(_: str) -> None:
    """Say nothing."""


def fetched(url: str, say: Callable[[str], None] = silent) -> Path:
    return download.download(url, "", say)[0]


@pytest.mark.usefixtures("places")
def test_a_file_is_fetched_once() -> None:
    with serving(Site()) as site:
        path = fetched(site.url)
        assert path.read_bytes() == CONTENT
        assert path.name == "linux.tar"
        assert fetched(site.url) == path
    assert site.asked == [""]


@pytest.mark.usefixtures("places")
def test_a_download_whose_connection_breaks_goes_on_from_where_it_was() -> None:
    said: list[str] = []
    with serving(Site(breaks=1)) as site:
        assert fetched(site.url, said.append).read_bytes() == CONTENT
    first, second = site.asked
    assert first == ""
    assert second.startswith("bytes=")
    assert 0 < int(second[6:-1]) < len(CONTENT)
    assert said[:2] == [f"downloading {site.url}", f"downloading {site.url}, try 2"]


@pytest.mark.usefixtures("places")
def test_a_server_that_knows_no_ranges_is_asked_for_the_whole_again() -> None:
    with serving(Site(breaks=1, ranges=False)) as site:
        assert fetched(site.url).read_bytes() == CONTENT


@pytest.mark.usefixtures("places")
def test_a_download_that_always_breaks_is_the_networks_fault_and_what_came_is_kept_for_the_next_time() -> None:
    with serving(Site(breaks=3, after=1 << 20)) as site:
        with pytest.raises(InfrastructureError, match="could not be downloaded"):
            fetched(site.url)
        assert len(site.asked) == 3
        assert fetched(site.url).read_bytes() == CONTENT
    assert site.asked[3].startswith("bytes=")


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("status", [404, 500])
def test_a_file_that_the_server_does_not_give_is_the_networks_fault(status: int) -> None:
    with serving(Site(status=status)) as site, pytest.raises(InfrastructureError, match=str(status)):
        fetched(site.url)


@pytest.mark.usefixtures("places")
def test_a_server_that_is_not_there_is_the_networks_fault() -> None:
    with serving(Site()) as site:
        pass
    with pytest.raises(InfrastructureError, match="could not be downloaded"):
        fetched(site.url)


def part_of(places: Path, url: str) -> Path:
    folder = places / "cache/downloads" / hashlib.sha256(url.encode()).hexdigest()[:32]
    folder.mkdir(parents=True)
    files.write_sealed(folder / "linux.tar.version", b'"1"')
    return folder / "linux.tar.part"


def test_a_part_that_is_longer_than_the_file_is_thrown_away(places: Path) -> None:
    with serving(Site()) as site:
        part_of(places, site.url).write_bytes(CONTENT + b"more")
        assert fetched(site.url).read_bytes() == CONTENT
    assert site.asked == [f"bytes={len(CONTENT) + 4}-", ""]


def test_a_part_that_is_whole_is_taken_as_it_is_or_fetched_again(places: Path) -> None:
    with serving(Site()) as site:
        part_of(places, site.url).write_bytes(CONTENT)
        assert fetched(site.url).read_bytes() == CONTENT


@pytest.mark.usefixtures("places")
def test_the_sha256_of_an_archive_by_its_address_is_checked() -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    with serving(Site()) as site:
        source = sources.open_source(f"tar:{site.url}#sha256={digest}", None, silent)  # type: ignore[arg-type] # no engine
        assert source.fixed == f"tar {digest}"
        assert sources.open_source(f"tar:{site.url}", None, silent).fixed == source.fixed  # type: ignore[arg-type] # no engine


@pytest.mark.usefixtures("places")
def test_an_archive_with_another_sha256_is_removed() -> None:
    with serving(Site()) as site:
        for _ in range(2):
            with pytest.raises(InfrastructureError, match="download was removed"):
                sources.open_source(f"tar:{site.url}#sha256={'0' * 64}", None, silent)  # type: ignore[arg-type] # no engine
    assert site.asked == ["", ""]


OTHER = os.urandom(len(CONTENT))


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("careless", [False, True])
def test_a_resumed_download_is_never_of_two_versions(*, careless: bool) -> None:
    with serving(Site(breaks=3, after=1 << 20)) as site:
        with pytest.raises(InfrastructureError, match="could not be downloaded"):
            fetched(site.url)
        site.content, site.version, site.careless = OTHER, '"2"', careless
        assert fetched(site.url).read_bytes() == OTHER
    assert site.asked[3].startswith("bytes=")


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("version", ["", 'W/"1"'])
def test_a_download_of_no_known_version_begins_anew(version: str) -> None:
    with serving(Site(breaks=1, version=version, careless=True)) as site:
        assert fetched(site.url).read_bytes() == CONTENT
    assert site.asked == ["", ""]


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("spoil", [b"", CONTENT[:-1], OTHER], ids=["empty", "cut short", "another"])
def test_a_file_of_the_cache_that_is_not_what_was_fetched_is_fetched_again(spoil: bytes) -> None:
    with serving(Site()) as site:
        fetched(site.url).write_bytes(spoil)
        said: list[str] = []
        assert fetched(site.url, said.append).read_bytes() == CONTENT
        assert "linux.tar is not what is expected: fetching it again" in said[0]
        fetched(site.url).with_name("linux.tar.json").write_text("{}")
        assert fetched(site.url).read_bytes() == CONTENT
    assert len(site.asked) == 3
