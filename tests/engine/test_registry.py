"""Images by way of a registry: pushed by one engine, and pulled by digest, or not used at all."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from matrix.config import load
from matrix.errors import InfrastructureError
from tests.engine.bench import FAKE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matrix.engine.api import Engine
    from matrix.model.image import Pushed
    from tests.engine.bench import Bench

pytestmark = pytest.mark.engine

IMAGE = "debian-trixie-min"
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": 2,
            "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}",
        },
        "layers": [],
    }
).encode()


class Liar(BaseHTTPRequestHandler):
    """A registry that gives one manifest, whatever it is asked for."""

    def do_GET(self) -> None:
        body = b"{}" if self.path.endswith("/v2/") else MANIFEST
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def liar() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def pushed_image(folder: Path) -> Pushed:
    pushed = load.load([folder]).images[IMAGE].pushed
    assert pushed
    return pushed


def test_a_cell_runs_on_the_image_that_was_pushed(bench: Bench, pushed: Path, engine: Engine) -> None:
    reference = pushed_image(pushed).reference
    bench.tree("good")
    done = bench.command(*bench.run_words("fake@good"), "--configs", str(pushed))
    assert done.status == 0, done.text
    image = bench.result("fake@good").image
    assert image
    assert image.tag == reference
    assert image.digest == engine.image(reference)
    assert image.base
    assert "gcc" in image.packages


def test_the_recipe_that_was_pushed_is_the_one_of_the_product(pushed: Path) -> None:
    given = load.load([FAKE, pushed]).images[IMAGE]
    assert given.model_copy(update={"pushed": None}) == load.load([FAKE]).images[IMAGE]


@pytest.mark.engines("docker", "podman")
def test_a_registry_that_has_no_such_content_is_named(pushed: Path, engine: Engine) -> None:
    absent = f"{pushed_image(pushed).reference.partition('@')[0]}@sha256:{'0' * 64}"
    with pytest.raises(InfrastructureError, match=f"{absent} could not be pulled: (?s:.*)Is the registry up"):
        engine.pull_by_digest(absent)
    with pytest.raises(InfrastructureError, match=r"could not be pulled: (?s:.*)refused(?s:.*)Is the registry up"):
        engine.pull_by_digest(f"127.0.0.1:1/perf-build-matrix/{IMAGE}@sha256:{'0' * 64}")


@pytest.mark.engines("docker", "podman")
def test_content_of_another_digest_than_that_asked_for_is_refused(liar: str, engine: Engine) -> None:
    reference = f"{liar}/perf-build-matrix/{IMAGE}@sha256:{'0' * 64}"
    with pytest.raises(InfrastructureError, match=f"{reference} could not be pulled: (?s:.*)digest"):
        engine.pull_by_digest(reference)
    assert engine.image(reference) is None


def test_what_is_no_registry_is_refused(bench: Bench) -> None:
    done = bench.command("images", "push", "https://registry.example", "--to", str(bench.folder / "to"))
    assert done.status == 2
    assert "'https://registry.example' is no registry" in done.err
