"""Images that a registry has: pushed with their recipe, and pulled by digest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import APIError, ImageNotFound

from matrix.config import load
from matrix.engine import images, pushing
from matrix.engine.backends.docker.engine import DockerEngine
from matrix.errors import InfrastructureError, UsageError
from matrix.model.image import Image, Pushed
from tests.unit import conftest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("places")

DIGEST = f"sha256:{'1' * 64}"
NAME = "registry.example:5000/perf-build-matrix/debian-trixie"
REFERENCE = f"{NAME}@{DIGEST}"
OURS = "perf-build-matrix/debian-trixie:1"


class Engine:
    """An engine that has every image of ours, and of a registry's those that it pulled."""

    def __init__(self) -> None:
        self.pushed: list[str] = []
        self.pulled: list[str] = []

    def image(self, tag: str) -> str | None:
        return "sha256:2" if "@" not in tag or tag in self.pulled else None

    def pull_by_digest(self, reference: str) -> str:
        self.pulled.append(reference)
        return "sha256:2"

    def script(self, *_: Any, **__: Any) -> tuple[int, bytes]:
        return 0, b"gcc 14\n"

    def push(self, _: str, target: str) -> str:
        self.pushed.append(target)
        return DIGEST

    def pull(self, reference: str, _: str) -> str:
        return f"{reference}@sha256:3"


def pushed_image() -> Image:
    engine: Any = Engine()
    return pushing.push(conftest.image(), "registry.example:5000", engine, print)


def test_a_push_gives_the_recipe_with_the_name_and_digest_in_the_registry() -> None:
    engine: Any = Engine()
    given = pushing.push(conftest.image(), "registry.example:5000", engine, print)
    [target] = engine.pushed
    assert target.startswith(f"{NAME}:")
    assert given.pushed
    assert (given.pushed.reference, given.pushed.base) == (REFERENCE, "pulled debian:trixie@sha256:3")
    assert given.model_copy(update={"pushed": None}) == conftest.image()
    assert pushing.push(given, "registry.example:5000", engine, print) == given


def test_a_pushed_image_is_pulled_once_and_none_is_made() -> None:
    engine: Any = Engine()
    said: list[str] = []
    first, second = (images.prepare(pushed_image(), engine, said.append) for _ in range(2))
    assert first == second
    assert (first.tag, first.digest, first.packages) == (REFERENCE, "sha256:2", {"gcc": "14"})
    assert first.base == "pulled debian:trixie@sha256:3"
    assert engine.pulled == [REFERENCE]
    assert said[0] == f"pulling {REFERENCE}"


def test_a_pushed_image_is_present_once_it_was_pulled() -> None:
    engine: Any = Engine()
    assert images.present(pushed_image(), engine) is None
    made = images.prepare(pushed_image(), engine, print)
    assert images.present(pushed_image(), engine) == made


def test_an_image_of_another_recipe_than_the_pushed_one_is_refused() -> None:
    engine: Any = Engine()
    other = pushed_image().model_copy(update={"packages": ("gcc", "make")})
    with pytest.raises(UsageError, match="has another recipe than when it was pushed as"):
        images.prepare(other, engine, print)
    assert engine.pulled == []


def test_what_says_nothing_of_the_content_is_no_other_recipe() -> None:
    engine: Any = Engine()
    other = pushed_image().model_copy(update={"summary": "another", "provides": ("features",)})
    assert images.prepare(other, engine, print).tag == REFERENCE


def test_the_plan_names_the_registry_of_a_pushed_image() -> None:
    assert images.source(pushed_image()) == f"{REFERENCE}\n"
    assert images.source(conftest.image()).startswith("FROM debian:trixie\n")


def test_a_recipe_that_was_written_is_read_again(tmp_path: Path) -> None:
    path = load.write_image(pushed_image(), tmp_path / "mine")
    assert path == tmp_path / "mine" / "containers" / "debian-trixie.yaml"
    assert load.load([tmp_path / "mine"]).images["debian-trixie"] == pushed_image()


@pytest.mark.parametrize(
    "registry", ["registry.example", "localhost:5000", "r.example:5000/perf/images", "127.0.0.1:1"]
)
def test_a_registry_is_a_host_with_a_port_or_a_path(registry: str) -> None:
    pushing.check(registry)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "https://registry.example",
        "user:secret@registry.example",
        "a b",
        "registry.example/",
        "-x",
        "a\n",
        "perf",
        "debian/perf",
    ],
)
def test_other_words_are_no_registry(words: str) -> None:
    with pytest.raises(UsageError, match="is no registry\n  A registry is HOST"):
        pushing.check(words)


@pytest.mark.parametrize(
    "reference",
    [
        "",
        DIGEST,
        "debian:trixie",
        f"{NAME}:tag",
        f"{NAME}@sha256:1",
        f"https://{REFERENCE}",
        f"{REFERENCE}\n",
        f" {NAME}",
    ],
)
def test_a_reference_is_a_name_in_a_registry_with_a_digest(reference: str) -> None:
    with pytest.raises(ValueError, match="reference"):
        Pushed(reference=reference, recipe="1", base="")
    assert Pushed(reference=REFERENCE, recipe="1", base="").reference == REFERENCE


class Api:
    """An engine's API that pushes and pulls with these messages; `tags` are the names of the image."""

    timeout = 1

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = messages
        self.tags = ["ours:1"]

    def push(self, *_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        yield from self.messages

    pull = push

    def remove_image(self, tag: str) -> None:
        self.tags.remove(tag)


def docker(api: Any, *digests: str) -> DockerEngine:
    def tagged(repository: str, version: str) -> None:
        api.tags.append(f"{repository}:{version}")

    image = SimpleNamespace(id="sha256:2", attrs={"RepoDigests": list(digests)}, tag=tagged)
    return DockerEngine(SimpleNamespace(api=api, images=SimpleNamespace(get=lambda _: image)), "unix:///s", "")


@pytest.mark.parametrize(
    "messages",
    [
        [{"status": "Pushed"}, {"status": f"x: digest: {DIGEST} size: 528"}, {"aux": {"Digest": DIGEST}}],  # Docker
        [{"status": f"x: digest: {DIGEST} size: 528\n"}],  # Podman
    ],
)
def test_a_push_gives_the_digest_and_leaves_no_name_behind(messages: list[dict[str, Any]]) -> None:
    api = Api(*messages)
    assert docker(api).push("ours:1", f"{NAME}:1") == DIGEST
    assert api.tags == ["ours:1"]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [([{"error": "no such host"}], "could not be pushed: no such host"), ([], "the engine gives no digest")],
)
def test_a_push_that_failed_says_why(messages: list[dict[str, Any]], reason: str) -> None:
    api = Api(*messages)
    with pytest.raises(InfrastructureError, match=rf"{reason}(?s:.*)Is the registry up"):
        docker(api).push("ours:1", f"{NAME}:1")
    assert api.tags == ["ours:1"]


def test_a_pull_gives_the_image_of_the_digest() -> None:
    assert docker(Api({"status": "Pulling"}), REFERENCE).pull_by_digest(REFERENCE) == "sha256:2"


def test_a_pull_that_the_engine_refuses_says_why() -> None:
    with pytest.raises(InfrastructureError, match=f"{REFERENCE} could not be pulled: manifest verification failed"):
        docker(Api({"error": "manifest verification failed"})).pull_by_digest(REFERENCE)


@pytest.mark.parametrize("digests", [[], [f"{NAME}@sha256:{'2' * 64}"]])
def test_an_image_of_another_digest_is_not_used_whatever_the_engine_says(digests: list[str]) -> None:
    with pytest.raises(InfrastructureError, match=r"the engine has another image for(?s:.*)not used"):
        docker(Api(), *digests).pull_by_digest(REFERENCE)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ImageNotFound("404"), "the registry does not have it"), (APIError("500", explanation="refused"), "refused")],
)
def test_an_error_of_a_pull_is_told(error: Exception, reason: str) -> None:
    api = Api()
    engine = docker(api)

    def get(_: str) -> None:
        raise error

    engine.client.images = SimpleNamespace(get=get)
    with pytest.raises(InfrastructureError, match=f"could not be pulled: {reason}(?s:.*)docs/engines.md"):
        engine.pull_by_digest(REFERENCE)


@pytest.mark.parametrize(
    ("tags", "digests", "names"),
    [
        ([OURS], ["<none>@<none>"], [OURS]),
        ([OURS], [REFERENCE], [OURS, REFERENCE]),  # Docker, on the machine that pushed it
        (None, [REFERENCE], [REFERENCE]),
        ([REFERENCE], [REFERENCE], [REFERENCE]),  # Podman
        ([f"localhost/{OURS}"], [f"localhost/{OURS.partition(':')[0]}@{DIGEST}"], [f"localhost/{OURS}"]),  # Podman
        ([OURS, "the-users/own:1"], [], [OURS]),
        (["the-users/own:1"], [], []),
        ([], [], ["sha256:2"]),
    ],
)
def test_every_name_that_we_gave_an_image_is_listed_for_its_removal(
    tags: list[str] | None, digests: list[str], names: list[str]
) -> None:
    listed: list[dict[str, Any]] = [{"Id": "sha256:2", "RepoTags": tags, "RepoDigests": digests, "Labels": {}}]
    api = SimpleNamespace(containers=lambda **_: [], volumes=lambda **_: {"Volumes": None}, images=lambda **_: listed)
    engine = DockerEngine(SimpleNamespace(api=api), "unix:///s", "")
    assert [item.name for item in engine.resources()] == names
