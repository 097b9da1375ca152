from __future__ import annotations

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
