"""The agent in a cell: out of reach for the programs that it watches, and not to be misled by them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from matrix.engine.api import AGENT_UID, UID
from tests.engine.live_cell import TRY, python, records

if TYPE_CHECKING:
    from matrix.engine.api import Container

pytestmark = pytest.mark.engine

AGENTS = """
import ctypes, resource, signal
def is_agent(pid):
    return open(f'/proc/{pid}/cmdline').read().split('\\0')[3:4] == ['/agent/agent']
agents = [int(name) for name in os.listdir('/proc') if name.isdigit() and is_agent(name)]
"""


def test_it_can_neither_signal_nor_limit_nor_look_into_the_agent(cell: Container) -> None:
    text = f"""{AGENTS}{TRY}
found = []
for agent in agents:
    found.append([
        attempt(os.kill, agent, signal.SIGINT),
        attempt(resource.prlimit, agent, resource.RLIMIT_NOFILE, (3, 3)),
        attempt(os.listdir, f'/proc/{{agent}}/fd'),
        attempt(open, f'/proc/{{agent}}/mem', 'rb'),
        attempt(open, f'/proc/{{agent}}/environ', 'rb'),
    ])
print(json.dumps(found))"""
    denied = ["Operation not permitted", "Operation not permitted", *["Permission denied"] * 3]
    assert python(cell, text) == [denied, denied]


def test_the_agent_is_another_user_without_a_right_to_files(cell: Container) -> None:
    text = f"""{AGENTS}
statuses = [dict(line.split(':', 1) for line in open(f'/proc/{{agent}}/status')) for agent in agents]
print(json.dumps([[status['Uid'].split(), status['Gid'].split(), status['Groups'].split(), status['CapEff']]
    for status in statuses]))"""
    capabilities = {"hold": 0, "step": sum(1 << number for number in (5, 6, 7, 8, 19))}  # linux/capability.h
    holds, steps = python(cell, text)
    agent, files = str(AGENT_UID), str(UID)
    assert holds[:3] == [[agent] * 4, [agent] * 4, []]
    assert steps[:3] == [[agent, agent, agent, files], [agent, agent, agent, files], []]
    assert [int(holds[3], 16), int(steps[3], 16)] == [capabilities["hold"], capabilities["step"]]


@pytest.mark.parametrize("flags", [0x00800000 | 17, 0x00800000 | 0x4000 | 0x100 | 17], ids=["fork", "vfork"])
def test_it_starts_no_process_that_is_not_traced(cell: Container, flags: int) -> None:
    numbers = {"x86_64": 56, "aarch64": 220, "ppc64le": 120, "riscv64": 220}
    text = f"""{AGENTS}
libc = ctypes.CDLL(None, use_errno=True)
number = {numbers}[os.uname().machine]
result = libc.syscall(number, {flags}, None, None, None, None)
if result == 0:
    os._exit(0)
error = os.strerror(ctypes.get_errno())
new = libc.syscall(435, ctypes.create_string_buffer(88), 88)
print(json.dumps([result, error, new, os.strerror(ctypes.get_errno())]))"""
    assert python(cell, text) == [-1, "Operation not permitted", -1, "Function not implemented"]


def test_a_compiler_by_another_name_of_the_trees_own_is_told(cell: Container) -> None:
    script = "ln -s $(gcc -print-prog-name=cc1) /tmp/innocent; cd /tmp; ./innocent --version; rm innocent"
    said = records(cell, "sh", "-c", script)
    processes = [record[2] for record in said if record[0] == "process"]
    [programs] = [facts["programs"] for facts in processes if facts["argvs"] == [["./innocent", "--version"]]]
    assert programs[0].endswith("/cc1")


def test_a_file_that_cannot_be_read_is_told_as_such(cell: Container) -> None:
    script = "echo one > /out/hidden; chmod 0 /out/hidden"
    said = records(cell, "sh", "-c", script, roots={"output": "/out"})
    [(_, path, problem)] = [record for record in said if record[0] == "unreadable"]
    assert path == "/out/hidden"
    assert "Permission denied" in problem
    records(cell, "rm", "-f", "/out/hidden")


def test_a_file_that_its_owner_alone_may_read_is_read(cell: Container) -> None:
    said = records(cell, "sh", "-c", "umask 077; echo one > /out/own", roots={"output": "/out"})
    [facts] = [record[3] for record in said if record[:3] == ["file", "output", "own"]]
    assert facts["content"] == hashlib.sha256(b"one\n").hexdigest()
    assert cell.read("/out/own", 100) == b"one\n"


def test_nothing_but_a_regular_file_is_read(cell: Container) -> None:
    records(cell, "sh", "-c", "mkfifo /out/fifo; ln -s fifo /out/link")
    assert [cell.read(path, 100) for path in ("/out/fifo", "/out/link", "/out", "/out/none")] == [None] * 4
    records(cell, "rm", "/out/fifo", "/out/link")


HOPS = """
import os
if not os.fork():
    os.setsid()
    while True:
        if os.fork():
            os._exit(0)
"""


def test_a_process_that_is_another_at_every_look_is_told_and_ended(cell: Container) -> None:
    for _ in range(4):
        said = records(cell, "python3", "-c", HOPS, trace=False)
        [facts] = [record[1] for record in said if record[0] == "command"]
        assert facts["untraced"]
    assert len(python(cell, "print(json.dumps([name for name in os.listdir('/proc') if name.isdigit()]))")) == 3


def test_a_process_that_outlives_a_command_without_tracing_is_told_and_ended(cell: Container) -> None:
    said = records(cell, "sh", "-c", "setsid sleep 1000 & exit 0", trace=False)
    [facts] = [record[1] for record in said if record[0] == "command"]
    assert facts["untraced"] == [["sleep", "1000"]]
    assert len(python(cell, "print(json.dumps([name for name in os.listdir('/proc') if name.isdigit()]))")) == 3
