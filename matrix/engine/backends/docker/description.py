"""The facts of an engine by its own word, for results and `doctor`."""

from __future__ import annotations

from typing import Any

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""The names of uname(2) for those of Go, which Podman gives."""


def of(info: dict[str, Any], version: dict[str, Any], url: str) -> dict[str, str]:
    """Return the facts of an engine from its answers to GET /info and GET /version."""
    return {
        "engine": f"{_engine_name(version)} {version['Version']}",
        "api": version["ApiVersion"],
        "url": url,
        "kernel": info["KernelVersion"],
        "architecture": MACHINES.get(info["Architecture"], info["Architecture"]),
        "storage": info["Driver"],
        "cgroup": str(info.get("CgroupVersion", "1")),
        "cpus": str(info["NCPU"]),
        "memory_bytes": str(info["MemTotal"]),
    }


def _engine_name(version: dict[str, Any]) -> str:
    """Return the name that an engine gives itself: that of its platform, or of its first component.

    Docker's first component is `Engine`, Podman's `Podman Engine`, whose platform is that of the machine.
    """
    component = next(iter(version.get("Components") or ()), {"Name": "Engine"})["Name"]
    if component != "Engine":
        return str(component)
    return str(version.get("Platform", {}).get("Name") or "docker")
