"""The digest of this program's own files: another version may record or judge a cell differently."""

from __future__ import annotations

import functools
import hashlib
import sys
from importlib import metadata
from pathlib import Path

from matrix import files

PACKAGE = Path(__file__).parents[1]


@functools.cache
def digest() -> str:
    """Return the SHA-256 over the paths and contents of the package's Python files, and over what reads ELF files."""
    whole = hashlib.sha256(f"{sys.version} {metadata.version('pyelftools')}\n".encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        whole.update(f"{path.relative_to(PACKAGE)} {files.sha256(path)}\n".encode())
    return whole.hexdigest()
