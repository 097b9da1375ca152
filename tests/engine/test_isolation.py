"""A cell is hostile ground: what its programs can reach, as programs inside it find it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from matrix.config import load, selection
from matrix.engine import agent_volume, images
from matrix.engine.api import UID, CellSpec
from matrix.model.cell import Limits
from matrix.trees import volumes
from tests.engine.conftest import FAKE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.engine.api import Container, Engine

pytestmark = pytest.mark.engine

LIMITS = Limits(memory_bytes=256 << 20, disk_bytes=64 << 20, pids=64)


@pytest.fixture(scope="module")
def spec(engine: Engine) -> CellSpec:
    loaded = load.load([FAKE])
    image = images.prepare(loaded.images["debian-trixie-min"], engine, print)
    tree = volumes.prepare(selection.tree(loaded, f"dir:{FAKE / 'tree'}"), engine, print)
    return CellSpec(image.tag, tree.volumes, agent_volume.provide(engine), "matrix", LIMITS)


@pytest.fixture(scope="module")
def cell(engine: Engine, spec: CellSpec) -> Iterator[Container]:
    container = engine.cell(spec)
    yield container
    container.remove()


def python(container: Container, text: str) -> Any:
    """Run a Python program in a cell and return what it printed as JSON."""
    log: list[bytes] = []
    status, out = container.run(["python3", "-c", f"import json, os, socket, stat\n{text}"], log.append, 120)
    assert status == 0, b"".join(log).decode()
    return json.loads(out)


TRY = """
def attempt(what, *words):
    try:
        what(*words)
    except OSError as error:
        return error.strerror
    return "done"
"""


def test_it_runs_as_nobody_in_particular_without_a_capability(cell: Container) -> None:
    text = "print(json.dumps(dict(line.split(':', 1) for line in open('/proc/self/status'))))"
    facts = {key: value.split() for key, value in python(cell, text).items()}
    assert facts["Uid"] == [str(UID)] * 4
    assert facts["Gid"] == [str(UID)] * 4
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(facts[name][0], 16) == 0
    assert facts["NoNewPrivs"] == ["1"]
    assert facts["Seccomp"] == ["2"]


def test_it_has_no_network(cell: Container) -> None:
    text = (
        f"{TRY}\nprint(json.dumps([os.listdir('/sys/class/net'),"
        " attempt(socket.create_connection, ('192.0.2.1', 80), 5), attempt(socket.getaddrinfo, 'example.org', 80)]))"
    )
    interfaces, connected, resolved = python(cell, text)
    assert interfaces == ["lo"]
    assert connected == "Network is unreachable"
    assert resolved != "done"


@pytest.mark.parametrize(
    "path", ["/x", "/etc/x", "/usr/bin/x", "/layer/x", "/layer/upper/x", "/agent/x", "/agent/agent.py"]
)
def test_it_cannot_write_outside_its_tree_and_its_output(cell: Container, path: str) -> None:
    told = python(cell, f"{TRY}\nprint(json.dumps(attempt(open, {path!r}, 'a')))")
    assert told in ("Read-only file system", "Permission denied")
    assert python(cell, f"print(json.dumps(os.statvfs({path.rpartition('/')[0] or '/'!r}).f_flag & os.ST_RDONLY))")


def test_it_can_write_where_a_build_must(cell: Container) -> None:
    paths = ["/src/tools/perf/x", "/out/x", "/tmp/x"]  # noqa: S108 - inside the cell
    text = f"{TRY}\nprint(json.dumps([attempt(open, path, 'w') for path in {paths}]))"
    assert python(cell, text) == ["done"] * 3


def test_it_sees_no_socket_of_an_engine_nor_a_disk(cell: Container) -> None:
    text = (
        "found = []\n"
        "for top, folders, files in os.walk('/'):\n"
        "    folders[:] = [name for name in folders if (top, name) not in (('/', 'proc'), ('/', 'sys'))]\n"
        "    for name in files:\n"
        "        mode = os.lstat(os.path.join(top, name)).st_mode\n"
        "        if stat.S_ISSOCK(mode) or stat.S_ISBLK(mode):\n"
        "            found.append(os.path.join(top, name))\n"
        "print(json.dumps(found))"
    )
    assert python(cell, text) == []


def test_it_sees_its_own_processes_alone(cell: Container) -> None:
    text = "print(json.dumps([open(f'/proc/{p}/cmdline').read() for p in os.listdir('/proc') if p.isdigit()]))"
    lines = python(cell, text)
    assert len(lines) == 2
    assert any(line.startswith("python3\0-I\0-S\0/agent/agent.py\0hold") for line in lines)


def test_it_cannot_become_root(cell: Container) -> None:
    tries = "attempt(os.setuid, 0), attempt(os.chroot, '/tmp'), attempt(os.mknod, '/tmp/d', 0o60600, 2049)"
    text = f"{TRY}\nprint(json.dumps([{tries}]))"
    assert python(cell, text) == ["Operation not permitted"] * 3


def test_its_memory_and_processes_are_limited(cell: Container) -> None:
    text = (
        "paths = [('memory.max', 'pids.max'), ('memory/memory.limit_in_bytes', 'pids/pids.max')]\n"
        "pair = next(pair for pair in paths if os.path.exists('/sys/fs/cgroup/' + pair[0]))\n"
        "print(json.dumps([int(open('/sys/fs/cgroup/' + name).read()) for name in pair]))"
    )
    assert python(cell, text) == [LIMITS.memory_bytes, LIMITS.pids]


def test_what_it_writes_no_other_cell_of_the_tree_sees(engine: Engine, spec: CellSpec, cell: Container) -> None:
    mark = "/src/tools/perf/mark"
    removed = "/src/tools/perf/perf.c"
    python(cell, f"open({mark!r}, 'w').close(); os.unlink({removed!r}); print(1)")
    other = engine.cell(spec)
    try:
        assert python(other, f"print(json.dumps([os.path.exists({mark!r}), os.path.exists({removed!r})]))") == [
            False,
            True,
        ]
    finally:
        other.remove()
    seen = python(cell, f"print(json.dumps([os.path.exists({mark!r}), os.path.exists({removed!r})]))")
    assert seen == [True, False]
