"""The volumes of a cell's container: those in memory, of a bounded size, and the overlay that its tree is."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docker.errors import APIError

from matrix.engine.api import UID, Resource
from matrix.errors import InfrastructureError

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Sequence

    from matrix.engine.backends.docker.engine import DockerEngine

MAX_FILES = 500_000
"""The number of files that a cell may make in a layer; a build of perf makes some 6,000."""

# Each path that a build changed must lie whole in the upper layer, which is scanned: not as metadata alone (metacopy)
# nor as a reference to its old name (redirect_dir); index ties an upper layer to the lower ones that it was made with.
# https://docs.kernel.org/filesystems/overlayfs.html
_OVERLAY = "metacopy=off,redirect_dir=off,index=off"

# In a user's namespace the kernel takes no redirect_dir, and userxattr turns it off.
_OVERLAY_OF_A_USER = "metacopy=off,userxattr,index=off"


@dataclass(frozen=True)
class Volumes:
    """A maker of the volumes of one cell; `undo` removes them where the cell's start fails."""

    engine: DockerEngine
    undo: contextlib.ExitStack

    def in_memory(self, name: str, mode: str, size_bytes: int) -> None:
        """Make a volume in memory, of at most so many bytes; it belongs to the cell's user, who is not root."""
        options = f"nr_inodes={MAX_FILES},uid={UID},gid={UID},mode={mode},nosuid,nodev"
        try:
            self._make(name, "tmpfs", f"size={size_bytes},{options}")
        except APIError:
            # Podman takes `size` for a quota of the disk below, which few file systems have, and passes other options
            # on: https://github.com/containers/podman/blob/v4.3.1/pkg/domain/infra/abi/parse/parse.go. `nr_blocks` is
            # the same number in pages: tmpfs(5).
            self._make(name, "tmpfs", f"nr_blocks={size_bytes // mmap.PAGESIZE},{options}")

    def overlay(self, name: str, trees: Sequence[str], layer: str) -> None:
        """Make a volume that is the volume `layer` over those of a tree, the topmost first."""
        upper = self._mountpoint(layer)
        lower = ":".join(f"{self._mountpoint(tree)}/tree" for tree in trees)
        whole = _OVERLAY_OF_A_USER if self.engine.is_rootless else _OVERLAY
        options = f"lowerdir={lower},upperdir={upper}/upper,workdir={upper}/work,{whole},nosuid,nodev"
        self._make(name, "overlay", options)

    def _make(self, name: str, kind: str, options: str) -> None:
        self.engine.client.volumes.create(
            name,
            driver="local",
            driver_opts={"type": kind, "device": kind, "o": options},
            labels=self.engine.labels("cell"),
        )
        self.undo.callback(self.engine.remove, Resource("volume", name, "", ""))

    def _mountpoint(self, name: str) -> str:
        """Return the folder on the engine's machine where a volume is mounted, for the options of an overlay."""
        point = str(self.engine.client.volumes.get(name).attrs["Mountpoint"])
        if set(point) & set(":,\\"):
            raise InfrastructureError(
                f"the engine keeps volumes at {point}, a path that no overlay can be made of",
                "Move its data folder to a path without `:`, `,` and `\\`.",
            )
        return point
