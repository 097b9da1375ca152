"""Docker's API as far as a run uses it: each request is a function of the fake engine's state and what was asked."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from matrix import files
from matrix.engine.api import LABEL
from tests.faults import recorded
from tests.faults.recorded import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.engine import FakeEngine

FETCHED = "/var/cache/fetched.tar"
"""The file that a script leaves in its container where it fetched a package of Debian's."""

POINTS = "/var/lib/fake-engine"
STDOUT, STDERR = 1, 2
KILLED = 137
RULES, BAD = "tree/tools/perf/Makefile.perf", b".PHONY: $(PROGRAM)"
"""The file of a tree by which the bad one is known, and the line that it has and the good one has not."""


@dataclass
class FakeContainer:
    """A container that there is no process of; `tree` is that of a cell, as far as it is one's."""

    id: str
    image: str
    labels: dict[str, str]
    volumes: list[str]
    words: list[str]
    tree: str = ""
    running: bool = False
    exit_code: int = 0


@dataclass(frozen=True)
class Stream:
    blocks: list[tuple[int, bytes]]
    end: Callable[[], None]
    upgrades: bool = True


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


Query = dict[str, str]

IMPORTED = "an image without a tag"


def _container(engine: FakeEngine, name: str) -> FakeContainer:
    if name not in engine.containers:
        raise RefusedError(404, f"No such container: {name}")
    return engine.containers[name]


def _version(*_: Any) -> Any:
    return 200, {"ApiVersion": "1.41", "Version": "0", "Platform": {"Name": "fake"}}


def _info(*_: Any) -> Any:
    facts = {"KernelVersion": "6", "Architecture": "x86_64", "Driver": "none", "CgroupVersion": "2"}
    return 200, {**facts, "NCPU": 2, "MemTotal": 8 << 30}


def _ping(*_: Any) -> Any:
    return 200, "OK"


def _image(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    by_id = {image["Id"]: image for image in engine.images.values()}
    found = engine.images.get(values[0]) or by_id.get(values[0])
    if found is None:
        raise RefusedError(404, f"No such image: {values[0]}")
    return 200, found


def _new_image(engine: FakeEngine, tag: str, labels: dict[str, str]) -> None:
    digest = hashlib.sha256(tag.encode()).hexdigest()
    engine.images[tag] = {"Id": f"sha256:{digest}", "RepoTags": [tag], "Labels": labels}


def _create_image(engine: FakeEngine, _values: list[str], query: Query, _body: bytes) -> Any:
    if query.get("fromSrc"):
        _new_image(engine, IMPORTED, {LABEL: "base"})
        return 200, {"status": engine.images[IMPORTED]["Id"]}
    _new_image(engine, f"{query['fromImage']}:{query.get('tag') or 'latest'}", {LABEL: "base"})
    return 200, {"status": "done"}


def _tag_image(engine: FakeEngine, values: list[str], query: Query, _body: bytes) -> Any:
    engine.images[f"{query['repo']}:{query['tag']}"] = _image(engine, values)[1]
    return 201, None


def _build(engine: FakeEngine, _values: list[str], query: Query, _body: bytes) -> Any:
    _new_image(engine, query["t"], {LABEL: "image"})
    return 200, {"stream": "Successfully built\n"}


def _list_images(engine: FakeEngine, *_: Any) -> Any:
    return 200, list(engine.images.values())


def _list_volumes(engine: FakeEngine, *_: Any) -> Any:
    return 200, {"Volumes": list(engine.volumes.values())}


def _list_containers(engine: FakeEngine, *_: Any) -> Any:
    return 200, [{"Id": one.id, "Labels": one.labels} for one in engine.containers.values()]


def _create_volume(engine: FakeEngine, _values: list[str], _query: Query, body: bytes) -> Any:
    asked = json.loads(body)
    return 201, engine.add_volume(asked["Name"], asked.get("Labels") or {}, asked.get("DriverOpts") or {})


def _volume(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    if values[0] not in engine.volumes:
        raise RefusedError(404, f"no such volume: {values[0]}")
    return 200, engine.volumes[values[0]]


def _remove_volume(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    _volume(engine, values)
    if any(values[0] in one.volumes for one in engine.containers.values()):
        raise RefusedError(409, "volume is in use")
    del engine.volumes[values[0]]
    engine.archives.pop(values[0], None)
    return 204, None


def _create_container(engine: FakeEngine, _values: list[str], _query: Query, body: bytes) -> Any:
    asked = json.loads(body)
    if asked["Image"] not in engine.images:
        raise RefusedError(404, f"No such image: {asked['Image']}")
    mounts = (asked.get("HostConfig") or {}).get("Mounts") or []
    volumes = [mount["Source"] for mount in mounts]
    for volume in volumes:
        _volume(engine, [volume])
    trees = [engine.trees[lower] for volume in volumes for lower in _lower(engine, volume) if lower in engine.trees]
    made = FakeContainer(
        engine.new_id(), asked["Image"], asked.get("Labels") or {}, volumes, asked["Cmd"], (trees or [""])[0]
    )
    engine.containers[made.id] = made
    return 201, {"Id": made.id, "Warnings": []}


def _lower(engine: FakeEngine, volume: str) -> list[str]:
    """Return the volumes that lie below an overlay."""
    options = engine.volumes[volume]["Options"].get("o", "")
    return re.findall(rf"{POINTS}/([^/]+)/tree", options)


def _start_container(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    container = _container(engine, values[0])
    container.running = container.words[0] != "sh" or "sleep" in container.words[-1]  # a script has ended at once
    return 204, None


def _inspect_container(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    one = _container(engine, values[0])
    state = {"Running": one.running, "OOMKilled": False, "ExitCode": one.exit_code, "Status": "running"}
    return 200, {"Id": one.id, "State": state, "Config": {"Labels": one.labels, "Tty": False}, "Image": one.image}


def _wait(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    return 200, {"StatusCode": _container(engine, values[0]).exit_code}


def _logs(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    _container(engine, values[0])
    return Stream([(STDOUT, b"make 4.3\nperl 5.36\n")], lambda: None, upgrades=False)


def _kill_container(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    container = _container(engine, values[0])
    container.running, container.exit_code = False, KILLED
    return 204, None


def _remove_container(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    _container(engine, values[0])
    del engine.containers[values[0]]
    return 204, None


def _get_archive(engine: FakeEngine, values: list[str], query: Query, _body: bytes) -> Any:
    container = _container(engine, values[0])
    package = re.search(r"package=([a-z]+)", container.words[-1]) if query["path"] == FETCHED else None
    if package:
        return 200, _tar(FETCHED.rpartition("/")[2], engine.packages[package[1]])
    volume = container.volumes[0]
    name = query["path"].removeprefix("/volume/")
    if name not in engine.archives.get(volume, ()):
        raise RefusedError(404, f"no such file: {name}")
    return 200, _tar(name)


def _put_archive(engine: FakeEngine, values: list[str], _query: Query, body: bytes) -> Any:
    volume = _container(engine, values[0]).volumes[0]
    try:
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            names = set(archive.getnames())
            if RULES in names:
                rules = archive.extractfile(RULES)
                engine.trees[volume] = "bad" if rules and BAD in rules.read() else "good"
    except tarfile.TarError as error:
        raise RefusedError(500, f"unexpected EOF: {error}") from error
    engine.archives.setdefault(volume, set()).update(names)
    return 200, None


def _tar(name: str, content: bytes = b"") -> bytes:
    return files.tar_of({name: content})


def _create_program(engine: FakeEngine, values: list[str], _query: Query, body: bytes) -> Any:
    container = _container(engine, values[0])
    if not container.running:
        raise RefusedError(409, f"Container {values[0]} is not running")
    name = engine.new_id()
    words = json.loads(body)["Cmd"]
    engine.programs[name] = {"container": container.id, "words": words, "ExitCode": None, "Running": True}
    return 201, {"Id": name}


def _start_program(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    program = engine.programs[values[0]]
    container = engine.containers.get(program["container"])
    if container is None or not container.running:
        raise RefusedError(409, "the container is not running")
    answer = _program_answer(container.tree, program["words"])

    def end() -> None:
        program.update(ExitCode=answer.status, Running=False)

    blocks = [(STDERR, answer.log), *((STDOUT, line) for line in answer.output.splitlines(keepends=True))]
    if program["words"][4:5] == ["read"]:
        blocks = [(STDERR, answer.log), (STDOUT, answer.output)]
    return Stream([(kind, block) for kind, block in blocks if block], end)


def _program_answer(tree: str, words: list[str]) -> Answer:
    if words[0] == "test":
        return Answer()
    return recorded.cell(tree).answer(words[4:])


def _program(engine: FakeEngine, values: list[str], *_: Any) -> Any:
    program = engine.programs[values[0]]
    return 200, {"ID": values[0], "Running": program["Running"], "ExitCode": program["ExitCode"]}


ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/version", _version),
    ("GET", "/info", _info),
    ("GET", "/_ping", _ping),
    ("HEAD", "/_ping", _ping),
    ("GET", "/images/json", _list_images),
    ("GET", "/images/(.+)/json", _image),
    ("POST", "/images/create", _create_image),
    ("POST", "/images/(.+)/tag", _tag_image),
    ("POST", "/build", _build),
    ("GET", "/volumes", _list_volumes),
    ("POST", "/volumes/create", _create_volume),
    ("GET", "/volumes/([^/]+)", _volume),
    ("DELETE", "/volumes/([^/]+)", _remove_volume),
    ("GET", "/containers/json", _list_containers),
    ("POST", "/containers/create", _create_container),
    ("POST", "/containers/([^/]+)/start", _start_container),
    ("GET", "/containers/([^/]+)/json", _inspect_container),
    ("POST", "/containers/([^/]+)/wait", _wait),
    ("GET", "/containers/([^/]+)/logs", _logs),
    ("POST", "/containers/([^/]+)/kill", _kill_container),
    ("DELETE", "/containers/([^/]+)", _remove_container),
    ("GET", "/containers/([^/]+)/archive", _get_archive),
    ("PUT", "/containers/([^/]+)/archive", _put_archive),
    ("POST", "/containers/([^/]+)/exec", _create_program),
    ("POST", "/exec/([^/]+)/start", _start_program),
    ("GET", "/exec/([^/]+)/json", _program),
)


def route(method: str, path: str) -> tuple[Callable[..., Any], list[str], str]:
    """Return the function that answers a request, the names in its path, and its route, as `GET /exec/*/json`."""
    for known, pattern, action in ROUTES:
        found = re.fullmatch(pattern, path) if known == method else None
        if found:
            return (
                action,
                [unquote(value) for value in found.groups()],
                f"{method} {re.sub(r'[(].*?[)]', '*', pattern)}",
            )
    return _unknown, [], f"{method} (unknown)"


def _unknown(*_: Any) -> Any:
    raise RefusedError(500, "this engine knows no such request")
