from __future__ import annotations

import json
import sys

import pytest

from tests.unit.agent.running import command, run

UNTRACED = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
if libc.syscall(number, 0x00800000 | 17, None, None, None, None) == 0:
    os._exit(0)
print(ctypes.get_errno() == errno.EPERM)
"""


@pytest.mark.parametrize("trace", [True, False])
def test_a_clone_that_would_not_be_traced_is_refused_where_there_is_tracing(*, trace: bool) -> None:
    said = run(command(sys.executable, "-c", UNTRACED, trace=trace))
    assert said.commands[0]["output"] == f"{trace}\n"


FORBIDDEN = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
at = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
clone = (56, 220)[at], 0x10000000 | 17, None, None, None, None
calls = {
    "clone with a namespace": clone, "clone3": (435, 0, 0), "unshare": ((272, 97)[at], 0x10000000),
    "setns": ((308, 268)[at], 0, 0), "mount": ((165, 40)[at], 0, 0, 0, 0, 0), "umount2": ((166, 39)[at], 0, 0),
    "pivot_root": ((155, 41)[at], 0, 0), "add_key": ((248, 217)[at], 0, 0, 0, 0, 0),
    "request_key": ((249, 218)[at], 0, 0, 0, 0), "keyctl": ((250, 219)[at], 0, 0), "fsopen": (430, 0, 0),
    "mount_setattr": (442, 0, 0, 0, 0, 0),
}
def call(words):
    result = libc.syscall(*words)
    if result == 0 and words is clone:
        os._exit(0)
    return os.strerror(ctypes.get_errno()) if result == -1 else "done"
print(json.dumps({name: call(words) for name, words in calls.items()}))
"""


@pytest.mark.parametrize("trace", [True, False])
def test_no_command_gets_namespaces_mounts_or_keys(*, trace: bool) -> None:
    said = run(command(sys.executable, "-c", FORBIDDEN, trace=trace))
    refused = json.loads(said.commands[0]["output"])
    assert refused.pop("clone3") == "Function not implemented"
    assert len(refused) == 11
    assert set(refused.values()) == {"Operation not permitted"}


def test_a_command_makes_processes_and_threads_as_before() -> None:
    text = "import threading, os, subprocess; t = threading.Thread(target=print, args=['thread']); t.start(); t.join()"
    said = run(command(sys.executable, "-c", f"{text}\nsubprocess.run(['echo', 'process'])"))
    assert said.commands[0]["output"].split() == ["process", "thread"]
