"""The limits on a container that an engine sets and its kernel does not enforce, by a look at them from inside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.engine.api import SCRIPT_MEMORY_BYTES, SCRIPT_PIDS

if TYPE_CHECKING:
    from matrix.engine.api import Engine

_SCRIPT = """
cd /sys/fs/cgroup
echo "memory $(cat memory.max memory/memory.limit_in_bytes 2>/dev/null || true)"
echo "processes $(cat pids.max pids/pids.max 2>/dev/null || true)"
"""
"""A shell script that prints a container's limits as the kernel has them, of cgroups v2 or v1."""

_SET = {"memory": str(SCRIPT_MEMORY_BYTES), "processes": str(SCRIPT_PIDS)}


def unenforced(engine: Engine) -> tuple[str, ...] | None:
    """Return the limits, as `memory`, that the engine does not enforce; a user's Podman on cgroups v1 enforces none.

    None is for an engine without an image of ours, in which the script runs.

    Raises:
        InfrastructureError: the script could not be run.

    """
    image = next((item.name for item in engine.resources() if (item.kind, item.purpose) == ("image", "image")), "")
    if not image:
        return None
    status, output = engine.script(image, _SCRIPT, network=False)
    lines = output.decode(errors="replace").splitlines() if status == 0 else []
    found = {name: value for name, _, value in (line.partition(" ") for line in lines)}
    return tuple(name for name, value in _SET.items() if found.get(name) != value)


def words(lacking: tuple[str, ...]) -> str:
    """Return a sentence on the limits that are not enforced."""
    return f"this engine enforces no limit on {' and '.join(lacking)}: a build may take all that the machine has"
