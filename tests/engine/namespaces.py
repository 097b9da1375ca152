"""Hosts on this machine: each a network namespace, and in it a dockerd with folders and a socket of its own."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from tests.engine.fleet import wait

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = "10.213.7"
BRIDGE = "pbm-br0"
FILLER = "filler"


def do(*words: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(words, check=True, capture_output=True)


class Bridge:
    """The network between this machine, at NETWORK.1, and its namespaces."""

    def __init__(self) -> None:
        do("ip", "link", "add", BRIDGE, "type", "bridge")
        do("ip", "addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        do("ip", "link", "set", BRIDGE, "up")

    def remove(self) -> None:
        do("ip", "link", "del", BRIDGE)


class Host:
    """A network namespace, with an engine whose images are loaded from a file."""

    def __init__(self, number: int, folder: Path) -> None:
        self.name = f"pbm-h{number}"
        self.folder = folder / self.name
        self.folder.mkdir()
        self.socket = f"unix://{self.folder}/docker.sock"
        self.engine: subprocess.Popen[bytes] | None = None
        self.disks: list[Path] = []
        do("ip", "netns", "add", self.name)
        do("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        do("ip", "link", "set", self.name, "master", BRIDGE, "up")
        for words in (
            ("addr", "add", f"{NETWORK}.{number + 1}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            do("ip", "-n", self.name, *words)

    @property
    def words(self) -> tuple[str, ...]:
        """The words before a command that run it in the namespace."""
        # `ip netns exec` would mount another /sys, without the control groups that dockerd needs: ip-netns(8).
        return ("nsenter", f"--net=/run/netns/{self.name}")

    def start_engine(self) -> None:
        """Start the engine, and wait until it answers."""
        with (self.folder / "dockerd.log").open("ab") as log:
            self.engine = subprocess.Popen(
                [*self.words, "dockerd", "--host", self.socket, "--data-root", str(self.folder / "data"),
                 "--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid"), "--bridge", "none",
                 "--iptables=false"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait(lambda: self.docker("version").returncode == 0)

    def docker(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", "--host", self.socket, *words], capture_output=True, text=True, check=False)

    def load(self, archive: Path) -> None:
        """Load images."""
        done = self.docker("load", "--input", str(archive))
        assert done.returncode == 0, done.stderr

    def left(self) -> list[str]:
        """Return the containers and volumes of cells in the engine."""
        containers = self.docker("ps", "--all", "--quiet").stdout.split()
        volumes = self.docker("volume", "ls", "--quiet").stdout.split()
        return containers + [name for name in volumes if not name.startswith(("pbm-tree-", "pbm-edit-", "pbm-agent-"))]

    def cut(self) -> None:
        """Cut the network: nothing goes in or out, and nobody is told."""
        do("ip", "-n", self.name, "link", "set", "eth0", "down")

    def mend(self) -> None:
        do("ip", "-n", self.name, "link", "set", "eth0", "up")

    def slow(self) -> None:
        """Let 32 kilobytes a second through each way, and have packets wait for up to two seconds."""
        words = ("root", "tbf", "rate", "256kbit", "burst", "8kb", "latency", "2s")
        do("tc", "-n", self.name, "qdisc", "add", "dev", "eth0", *words)
        do("tc", "qdisc", "add", "dev", self.name, *words)

    def speed_up(self) -> None:
        do("tc", "-n", self.name, "qdisc", "del", "dev", "eth0", "root")
        do("tc", "qdisc", "del", "dev", self.name, "root")

    def mount_small(self, folder: Path) -> None:
        """Make a folder a small disk."""
        folder.mkdir(parents=True)
        do("mount", "-t", "tmpfs", "-o", "size=64m", "small", str(folder))
        self.disks.append(folder)

    def fill(self) -> None:
        """Fill the small disks."""
        for folder in self.disks:
            subprocess.run(["cp", "/dev/zero", str(folder / FILLER)], check=False, capture_output=True)

    def empty(self) -> None:
        for folder in self.disks:
            (folder / FILLER).unlink()

    def remove(self) -> None:
        """Stop the engine, and remove all."""
        if self.engine is not None:
            self.engine.terminate()
            self.engine.wait(60)
        subprocess.run(["umount", str(self.folder / "data")], check=False, capture_output=True)  # dockerd's own
        for folder in self.disks:
            subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)
        time.sleep(0.5)
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        subprocess.run(["ip", "link", "del", self.name], check=False, capture_output=True)
