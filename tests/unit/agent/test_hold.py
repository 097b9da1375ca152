from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.unit.agent.running import ARGV


def test_held_it_stays_until_it_is_ended() -> None:
    with subprocess.Popen([*ARGV, "hold"]) as process:
        while b"hold" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            pass
        assert process.poll() is None
        process.terminate()
        assert process.wait() == -signal.SIGTERM
