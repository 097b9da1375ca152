"""The facts of files: a record for each entry of a folder. Standard library only, Python 3.6 syntax."""

import hashlib
import os
import re
import stat
import sys
from typing import Any, BinaryIO, Dict, Iterator, Set

from matrix.agent.records import Output

FILE_BYTES = 8 << 30
"""The size from which a file is not read: it is sparse, as no cell has so much space, and would be read for ever."""

COMMAND_FILE_BYTES = 1 << 20
"""The most that is read of a `.NAME.cmd` file; the largest of perf has 60 kB."""

SEPARATORS = re.compile(rb"[\s\\():=$]+")
MAX_DEPTH = 4096
"""PATH_MAX (linux/limits.h), which bounds how deep folders nest; os.walk recurses up to Python 3.11."""


def sha256(path: str) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def file_facts(path: str, *, is_in_overlay: bool) -> Dict[str, Any]:
    """Return type, mode, size, times, inode and content of one directory entry.

    A whiteout is one in an overlay's upper layer alone: in any other folder a build may make such a device
    (mknod(2), since Linux 5.8), and it is a file that was left like any other.

    Raises:
        OSError: the entry cannot be read, or is larger than any real one.

    """
    entry = os.lstat(path)
    facts: Dict[str, Any] = {
        "mode": stat.S_IMODE(entry.st_mode),
        "size": entry.st_size,
        "mtime_ns": entry.st_mtime_ns,
        "ctime_ns": entry.st_ctime_ns,
        "ino": entry.st_ino,
        "content": "",
    }
    if stat.S_ISDIR(entry.st_mode):
        facts["type"] = "directory"
    elif stat.S_ISREG(entry.st_mode):
        facts["type"] = "file"
        if entry.st_size > FILE_BYTES:
            raise OSError("larger than %d bytes: %s" % (FILE_BYTES, path))
        facts["content"] = sha256(path)
    elif stat.S_ISLNK(entry.st_mode):
        facts["type"] = "symlink"
        facts["content"] = os.readlink(path)
    # overlayfs marks a deleted file so: https://docs.kernel.org/filesystems/overlayfs.html
    elif is_in_overlay and stat.S_ISCHR(entry.st_mode) and entry.st_rdev == 0:
        facts["type"] = "whiteout"
    else:
        facts["type"] = "special"
    return facts


class Scan:
    """The scan of a step's folders into its records."""

    def __init__(self, output: Output) -> None:
        self.output = output
        sys.setrecursionlimit(max(sys.getrecursionlimit(), 2 * MAX_DEPTH))

    def folder(self, name: str, root: str, merged: str) -> None:
        """Write a record for all below `root`; for its folders, what the merged view of them holds."""
        for folder, folders, files in os.walk(root, onerror=self._unreadable_folder):
            folders.sort()
            relative = os.path.relpath(folder, root)
            if merged:
                self._listing(merged, relative)
            for entry in sorted(folders + files):
                inside = os.path.normpath(os.path.join(relative, entry))
                self._entry(name, inside, os.path.join(folder, entry), is_in_overlay=bool(merged))

    def _unreadable_folder(self, error: OSError) -> None:
        self.output.emit("unreadable", str(error.filename), str(error))

    def _listing(self, merged: str, relative: str) -> None:
        """Write the record of the names in a folder of the merged view, which tells deleted files."""
        view = os.path.normpath(os.path.join(merged, relative))
        try:
            self.output.emit("listing", relative, sorted(os.listdir(view)))
        except OSError as error:
            self.output.emit("unreadable", view, str(error))

    def _entry(self, name: str, relative: str, path: str, *, is_in_overlay: bool) -> None:
        """Write the record of one directory entry."""
        try:
            self.output.emit("file", name, relative, file_facts(path, is_in_overlay=is_in_overlay))
        except OSError as error:
            self.output.emit("unreadable", path, str(error))

    def mentions(self, roots: Dict[str, str], basename: str) -> None:
        """Write a record for each `.cmd` file that names a file with this basename: the words that name it."""
        for name, root in sorted(roots.items()):
            for path in command_files(root):
                words = sorted(word.decode("utf-8", "replace") for word in mentioning(beginning(path), basename))
                if words:
                    self.output.emit("mention", name, os.path.relpath(path, root), words)


def mentioning(text: bytes, basename: str) -> Set[bytes]:
    """Return the paths of a command file that end in a basename, each cut after it."""
    found: Set[bytes] = set()
    name = basename.encode()
    after = re.compile(rb"[\w.]")
    for word in SEPARATORS.split(text):
        at = word.rfind(name)
        while at >= 0 and after.match(word, at + len(name)):
            at = word.rfind(name, 0, at)
        if at >= 0:
            found.add(word[: at + len(name)])
    return found


def beginning(path: str) -> bytes:
    """Return the beginning of a regular file, or nothing where it is none, as a FIFO, or cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(COMMAND_FILE_BYTES)
    except OSError:
        return b""


def open_regular(path: str) -> BinaryIO:
    """Return a file, open for reading.

    Raises:
        OSError: it cannot be read, or is no regular file: a FIFO would be waited for.

    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise OSError("no regular file: %s" % path)


def command_files(root: str) -> Iterator[str]:
    """Yield the paths of kbuild's `.NAME.cmd` files below a folder."""
    for folder, _, files in os.walk(root):
        for file in sorted(files):
            if file.endswith(".cmd"):
                yield os.path.join(folder, file)
