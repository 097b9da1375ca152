"""The content of one file of a cell. Standard library only, Python 3.6 syntax."""

import sys
from typing import List

from matrix.agent import privileges
from matrix.agent.scan import open_regular

BLOCK_BYTES = 1 << 16


def main(words: List[str]) -> None:
    """Write the beginning of a file to standard output, read as a user; end with status 1 where that cannot be.

    Args:
        words: the user, or nothing; the path; how many bytes to write at most.

    """
    user, path, limit_bytes = words
    if user:
        privileges.become_nobody(int(user))
    try:
        copy(path, int(limit_bytes))
    except OSError as error:
        sys.exit(str(error))


def copy(path: str, left: int) -> None:
    """Write the first `left` bytes of a regular file to standard output.

    Raises:
        OSError: the file cannot be read, or is no regular file.

    """
    with open_regular(path) as file:
        while left > 0:
            block = file.read(min(left, BLOCK_BYTES))
            if not block:
                return
            sys.stdout.buffer.write(block)
            left -= len(block)
