"""`podman system service`, which any user with subordinate ids (subuid(5)) can start, too."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from matrix import files

if TYPE_CHECKING:
    from matrix.engine.daemons import Site

PID_MAX = Path("/proc/sys/kernel/pid_max")
LOOPBACK = ("127.0.0.1", "localhost")
"""The hosts of registries that are spoken to without TLS, as Docker does: nothing of it leaves the machine."""


class _Podman:
    program = "podman"
    packages = ("podman", "runc")
    needs_root = False

    def command(self, site: Site) -> list[str]:
        """Write containers.conf and registries.conf, which replace the machine's, and return the command line."""
        files.write(_configuration(site), _containers_conf().encode())
        files.write(_registries(site), _registries_conf().encode())
        # 0: it has no end by itself, however long nobody asks.
        return [*_podman(site), *_storage(site), "system", "service", "--time", "0", site.address]

    def ends(self, site: Site) -> list[list[str]]:
        """Return the commands: a service's containers outlive it, and so do root's mount and a user's process.

        Podman mounts the folder of its layers onto itself. The process holds a user's namespace, and `system migrate`
        ends it: podman-system-migrate(1).
        """
        stop = [*_podman(site), "stop", "--all", "--time", "0"]
        last = ["umount", str(site.data / "overlay")] if os.geteuid() == 0 else [*_podman(site), "system", "migrate"]
        return [stop, last]


def _podman(site: Site) -> list[str]:
    return [
        f"CONTAINERS_CONF={_configuration(site)}", f"CONTAINERS_REGISTRIES_CONF={_registries(site)}",
        "podman", "--root", str(site.data), "--runroot", str(site.runtime / "run"),
        "--tmpdir", str(site.runtime / "tmp"),
    ]  # fmt: skip


def _storage(site: Site) -> list[str]:
    """Return the option for overlay storage where it works here, which Podman 4.3 does not try as a user.

    Its choice would be vfs, which copies an image for each container.
    """
    option = ["--storage-driver", "overlay"]
    probe = ["/usr/bin/env", *_podman(site), *option, "info"]
    status = subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
    return option if status == 0 else []


def _configuration(site: Site) -> Path:
    return site.data.with_name("containers.conf")


def _registries(site: Site) -> Path:
    return site.data.with_name("registries.conf")


def _containers_conf() -> str:
    """Return the settings that this machine needs; see containers.conf(5)."""
    # All of a user's Podmans share their locks in /dev/shm, and one that starts anew takes them from the others:
    # https://github.com/containers/podman/blob/v4.3.1/libpod/runtime.go, refresh.
    engine = ['events_logger = "file"', 'lock_type = "file"']
    # Where cgroups of both versions are mounted, crun says `cgroups in hybrid mode not supported`:
    # https://github.com/containers/crun/blob/main/src/libcrun/cgroup.c
    if shutil.which("runc"):
        engine.append('runtime = "runc"')
    if not Path("/run/systemd/system").exists():  # sd_booted(3)
        engine.append('cgroup_manager = "cgroupfs"')
    return f"[containers]\ndefault_ulimits = [{_ulimits()}]\n[engine]\n" + "\n".join(engine) + "\n"


def _ulimits() -> str:
    """Return this process's own limits: Podman's usual ones are greater than a process in a container may set.

    Both numbers of a pair are the same, as Podman 4.3's API takes the one for the other.
    """
    hard = {name: resource.getrlimit(kind)[1] for name, kind in _LIMITS.items()}
    if hard["nproc"] != resource.RLIM_INFINITY:
        # A user's Podman lowers its own limit to this number first, and can give no more.
        hard["nproc"] = min(hard["nproc"], int(PID_MAX.read_text()))
    return ", ".join(f'"{name}={most}:{most}"' for name, most in hard.items() if most != resource.RLIM_INFINITY)


_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}


def _registries_conf() -> str:
    """Return the settings of registries; see containers-registries.conf(5)."""
    return "".join(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in LOOPBACK)


DAEMON = _Podman()
