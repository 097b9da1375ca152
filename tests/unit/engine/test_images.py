from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from matrix import files
from matrix.engine import cache, images, package_lists
from matrix.engine.cache import Part
from matrix.errors import InfrastructureError
from matrix.model.image import Base, Bootstrap
from tests.unit import conftest

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.model.result import ImageIdentity

pytestmark = pytest.mark.usefixtures("places")


class FakeEngine:
    """An engine whose images have one package."""

    def script(self, *_: Any, **__: Any) -> tuple[int, bytes]:
        return 0, b"gcc 4:14.2.0-1\n"


def test_the_packages_of_an_image_are_listed_once_saying_so() -> None:
    engine: Any = FakeEngine()
    said: list[str] = []
    for _ in range(2):
        assert package_lists.of("tag:1", "sha256:4711", engine, said.append) == {"gcc": "4:14.2.0-1"}
    assert said == ["listing the packages of tag:1"]


@pytest.mark.parametrize("content", ["", "{", '{"gcc": "1"}\n', "null", '{"image": "sha256:4711", "packages": {}}'])
def test_packages_of_the_cache_that_are_not_what_was_listed_are_listed_again(content: str) -> None:
    engine: Any = FakeEngine()
    said: list[str] = []
    package_lists.of("tag:1", "sha256:4711", engine, said.append)
    [record] = cache.folder(Part.IMAGES).iterdir()
    record.write_text(content)
    assert package_lists.of("tag:1", "sha256:4711", engine, said.append) == {"gcc": "4:14.2.0-1"}
    assert said[1:] == [f"listing the packages of tag:1, as {record} is damaged or of another version"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"gcc": "1"}', b'{"image": "sha256:4712", "packages": {"gcc": "1"}}', b"[" * 300]
)
def test_a_whole_file_that_holds_no_packages_of_this_image_is_not_believed(content: bytes) -> None:
    engine: Any = FakeEngine()
    said: list[str] = []
    package_lists.of("tag:1", "sha256:4711", engine, said.append)
    [record] = cache.folder(Part.IMAGES).iterdir()
    files.write_sealed(record, content)
    for _ in range(2):
        assert package_lists.of("tag:1", "sha256:4711", engine, said.append) == {"gcc": "4:14.2.0-1"}
    assert said[1:] == [f"listing the packages of tag:1, as {record} is damaged or of another version"]


class Registry(FakeEngine):
    """An engine that pulls, and has what it pulled."""

    def __init__(self) -> None:
        self.tags: list[str] = []

    def image(self, tag: str) -> str | None:
        return "sha256:1" if tag in self.tags else None

    def pull(self, _: str, tag: str) -> str:
        self.tags.append(tag)
        return "sha256:1"


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"something else", b"mmdebstrap sid", b"pulled sha256:1\nx"])
def test_the_origin_of_a_base_that_is_none_is_got_again(content: bytes) -> None:
    engine, said = Registry(), list[str]()
    recipe = Base(pull="debian:trixie")
    for _ in range(2):
        images.base(recipe, engine, said.append)  # type: ignore[arg-type] # it only pulls
    assert said == ["pulling debian:trixie"]
    images._origin(recipe).write_bytes(content)
    images.base(recipe, engine, said.append)  # type: ignore[arg-type] # it only pulls
    damaged = f"as {images._origin(recipe)} is damaged or of another version"
    assert said == ["pulling debian:trixie", f"pulling debian:trixie, {damaged}"]
    assert images._read_origin(recipe) == "pulled sha256:1"


@pytest.mark.parametrize("place", [3, 12, 40])
def test_a_byte_that_changed_in_the_origin_of_a_base_is_seen(place: int) -> None:
    engine, said = Registry(), list[str]()
    recipe = Base(pull="debian:trixie")
    images.base(recipe, engine, said.append)  # type: ignore[arg-type] # it only pulls
    content = bytearray(images._origin(recipe).read_bytes())
    content[place] ^= 1
    images._origin(recipe).write_bytes(content)
    images.base(recipe, engine, said.append)  # type: ignore[arg-type] # it only pulls
    assert len(said) == 2
    assert images._read_origin(recipe) == "pulled sha256:1"


def test_the_origin_that_an_earlier_version_wrote_without_a_seal_counts() -> None:
    engine, said = Registry(), list[str]()
    recipe = Base(pull="debian:trixie", bootstrap=Bootstrap(suite="trixie"))
    images.base(recipe, engine, said.append)  # type: ignore[arg-type] # it only pulls
    images._origin(recipe).write_text("mmdebstrap trixie")
    images.base(recipe, engine, said.append)  # type: ignore[arg-type] # it only pulls
    assert said == ["pulling debian:trixie"]
    assert images._read_origin(recipe) == "mmdebstrap trixie"


@pytest.mark.parametrize(("user", "told"), [(0, "Is the network up?"), (1000, "A user needs subordinate ids")])
def test_a_bootstrap_that_fails_says_why_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, told: str
) -> None:
    program = tmp_path / "mmdebstrap"
    program.write_text("#!/bin/sh\necho no chroot mode >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: user)
    engine: Any = SimpleNamespace(image=lambda _: None, pull=lambda *_: None)
    recipe = Base(pull="debian:trixie", bootstrap=Bootstrap(suite="trixie"))
    with pytest.raises(InfrastructureError, match=rf"could not be bootstrapped:\s+no chroot mode\s(?s:.*){told}"):
        images.base(recipe, engine, print)


class Whole(Registry):
    """An engine that has every image of which a tag was looked up."""

    def __init__(self, digest: str | None = "sha256:2") -> None:
        super().__init__()
        self.digest = digest
        self.asked: list[str] = []

    def image(self, tag: str) -> str | None:
        self.asked.append(tag)
        return self.digest


def prepared(engine: Whole) -> ImageIdentity:
    made: Any = engine
    return images.prepare(conftest.image("debian-trixie"), made, lambda _: None)


def test_an_image_that_is_there_is_present_as_it_was_prepared() -> None:
    engine: Any = Whole()
    assert images.present(conftest.image("debian-trixie"), engine) is None
    made = prepared(engine)
    assert images.present(conftest.image("debian-trixie"), engine) == made


@pytest.mark.parametrize("lost", ["*.package-list", "*.origin"])
def test_an_image_of_which_the_cache_does_not_know_all_is_not_present(lost: str) -> None:
    engine: Any = Whole()
    prepared(engine)
    for path in cache.folder(Part.IMAGES).glob(lost):
        path.unlink()
    assert images.present(conftest.image("debian-trixie"), engine) is None


def test_an_image_or_base_that_the_engine_has_not_is_not_present() -> None:
    engine: Any = Whole()
    prepared(engine)
    for missing in ("base", "debian-trixie"):

        def image(tag: str, gone: str = missing) -> str | None:
            return None if f"/{gone}:" in tag else "sha256:2"

        engine.image = image
        assert images.present(conftest.image("debian-trixie"), engine) is None
