"""Images made of nothing but a tar file and a Dockerfile, on each engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matrix.engine.api import Resource
from matrix.errors import InfrastructureError
from matrix.files import tar_of

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.engine.api import Engine

pytestmark = [pytest.mark.engine, pytest.mark.engines("docker", "podman")]

BASE, IMAGE = "perf-build-matrix/base:test", "perf-build-matrix/test:1"


def test_an_image_is_built_on_an_imported_base_of_that_tag(engine: Engine, tmp_path: Path) -> None:
    archive = tmp_path / "base.tar"
    archive.write_bytes(tar_of({"etc/base": b"imported"}))
    try:
        engine.import_image(archive, BASE)
        engine.build(f"FROM {BASE}\nCOPY Dockerfile /\n", IMAGE, print)
        base, built = engine.image(BASE), engine.image(IMAGE)
        assert base
        assert built
        assert base != built
        names = {item.name.removeprefix("docker.io/"): item.purpose for item in engine.resources()}  # Podman's
        assert (names[BASE], names[IMAGE]) == ("base", "image")
    finally:
        for tag in (IMAGE, BASE):
            engine.remove(Resource("image", tag, "", ""))
    assert (engine.image(BASE), engine.image(IMAGE)) == (None, None)


def test_a_build_that_fails_says_why(engine: Engine) -> None:
    with pytest.raises(InfrastructureError, match=r"test:1 could not be built|could not build \S*test:1"):
        engine.build("FROM scratch\nCOPY nothing /\n", IMAGE, print)
    assert engine.image(IMAGE) is None
