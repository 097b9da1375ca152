"""A cell is hostile ground: what its programs can reach, as programs inside it find it."""

from __future__ import annotations

import dataclasses
import platform
from typing import TYPE_CHECKING

import pytest

from matrix.engine.api import UID, CellSpec
from matrix.engine.backends.docker.volumes import MAX_FILES
from tests.engine.live_cell import LIMITS, TRY, python

if TYPE_CHECKING:
    from matrix.engine.api import Container, Engine

pytestmark = [pytest.mark.engine, pytest.mark.engines("docker", "podman")]


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
    "path", ["/x", "/etc/x", "/usr/bin/x", "/layer/x", "/layer/upper/x", "/agent/x", "/agent/agent/__main__.py"]
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
    assert len(lines) == 3
    assert sum(line.startswith("python3\0-I\0-S\0/agent/agent\0") for line in lines) == 2


def test_it_cannot_become_root(cell: Container) -> None:
    tries = "attempt(os.setuid, 0), attempt(os.chroot, '/tmp'), attempt(os.mknod, '/tmp/d', 0o60600, 2049)"
    text = f"{TRY}\nprint(json.dumps([{tries}]))"
    assert python(cell, text) == ["Operation not permitted"] * 3


CGROUP = """
def limit(*files):
    for file in files:
        if os.path.exists('/sys/fs/cgroup/' + file):
            return open('/sys/fs/cgroup/' + file).read().split()
"""


def test_its_memory_processes_and_processors_are_limited_by_the_kernel(engine: Engine, spec: CellSpec) -> None:
    pinned = engine.cell(dataclasses.replace(spec, cpus="0"))
    try:
        text = f"""{CGROUP}
print(json.dumps([
    limit('memory.max', 'memory/memory.limit_in_bytes'),
    limit('memory.swap.max', 'memory/memory.memsw.limit_in_bytes'),
    limit('pids.max', 'pids/pids.max'),
    sorted(os.sched_getaffinity(0)),
]))"""
        memory, swap, pids, processors = python(pinned, text)
    finally:
        pinned.remove()
    assert memory == [str(LIMITS.memory_bytes)]
    assert swap in (["0"], memory, None)  # cgroups v2, v1 (with memory), and a kernel that counts no swap
    assert pids == [str(LIMITS.pids)]
    assert processors == [0]


MOUNTS = """
null = os.stat('/dev/null').st_rdev
def is_writable(path):
    return os.access(path, os.W_OK) and not os.statvfs(path).f_flag & os.ST_RDONLY and os.stat(path).st_rdev != null
mounts = [line.split()[1:4] for line in open('/proc/self/mounts')]
facts = {path: os.statvfs(path) for path in ('/out', '/tmp', '/layer')}
print(json.dumps([
    {path: [kind, options.split(',')] for path, kind, options in mounts},
    sorted(path for path, *_ in mounts if is_writable(path)),
    {path: [fact.f_blocks * fact.f_frsize, fact.f_files] for path, fact in facts.items()},
]))"""


def test_its_mounts_and_their_sizes_are_as_the_kernel_has_them(cell: Container) -> None:
    mounts, writable, sizes = python(cell, MOUNTS)
    kinds = {path: kind for path, (kind, _) in mounts.items()}
    assert {path: kinds[path] for path in ("/src", "/out", "/tmp", "/layer")} == {  # noqa: S108 - the cell's
        "/src": "overlay", "/out": "tmpfs", "/tmp": "tmpfs", "/layer": "tmpfs",  # noqa: S108 - the cell's
    }  # fmt: skip
    assert set(writable) <= {"/src", "/out", "/tmp", "/dev/shm", "/dev/mqueue"}  # noqa: S108 - the cell's
    for path in writable:
        assert {"nosuid", "nodev"} <= set(mounts[path][1]), path
    for path in ("/", "/layer", "/agent"):
        assert "ro" in mounts[path][1], path
    assert {path: tuple(size) for path, size in sizes.items()} == dict.fromkeys(
        ("/out", "/tmp", "/layer"),  # noqa: S108 - the cell's
        (LIMITS.disk_bytes, MAX_FILES),
    )


def test_each_of_its_processes_is_confined_by_a_filter_and_without_new_privileges(cell: Container) -> None:
    text = """
found = {}
for name in filter(str.isdigit, os.listdir('/proc')):
    status = dict(line.split(':', 1) for line in open(f'/proc/{name}/status'))
    found[name] = [status[key].strip() for key in ('NoNewPrivs', 'Seccomp', 'CapBnd')]
print(json.dumps([found, os.getpid(), resource.getrlimit(resource.RLIMIT_CORE)]))"""
    found, me, core = python(cell, f"import resource{text}")
    assert core == [0, 0]
    assert len(found) == 3
    assert {(privileges, mode) for privileges, mode, _ in found.values()} == {("1", "2")}
    agents = sum(1 << number for number in (5, 6, 7, 8, 19))  # linux/capability.h, as CAPABILITIES names them
    bounds = {name: int(bound, 16) for name, (_, _, bound) in found.items()}
    assert bounds.pop(str(me)) == 0
    assert set(bounds.values()) == {agents}


FORBIDDEN = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *words):
    result = libc.syscall(number, *words)
    return os.strerror(ctypes.get_errno()) if result == -1 else 'done'
names = {'mount': (165, 40), 'unshare': (272, 97), 'keyctl': (250, 219), 'bpf': (321, 280), 'kexec_load': (246, 104)}
at = {'x86_64': 0, 'aarch64': 1}[os.uname().machine]
words = {'unshare': (0x10000000,)}
print(json.dumps({name: call(numbers[at], *words.get(name, (0, 0, 0, 0, 0))) for name, numbers in names.items()}))
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="the numbers of system calls are of these")
def test_the_filter_of_the_engine_refuses_what_a_container_must_not(cell: Container) -> None:
    refused = python(cell, FORBIDDEN)
    assert set(refused) == {"mount", "unshare", "keyctl", "bpf", "kexec_load"}
    assert set(refused.values()) <= {"Operation not permitted", "Function not implemented"}


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
