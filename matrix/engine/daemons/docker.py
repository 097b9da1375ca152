"""dockerd, which only root can start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matrix.engine.daemons import Site


class _Dockerd:
    program = "dockerd"
    packages = ("docker.io", "iptables")
    needs_root = True

    def command(self, site: Site) -> list[str]:
        """Return the command line; dockerd needs no configuration of its own, nor a file with its process id."""
        return [
            "dockerd", "--host", site.address, "--data-root", str(site.data),
            "--exec-root", str(site.runtime / "exec"), "--pidfile=",
        ]  # fmt: skip

    def ends(self, site: Site) -> list[list[str]]:
        """Return nothing: dockerd ends its containers as it stops."""
        del site
        return []


DAEMON = _Dockerd()
