"""Writes the agent's records: JSON arrays, a line each, whose first item is the kind. Python 3.6 syntax.

`["process", INDEX, FACTS]` for each process of a traced command, `["command", FACTS]` after them; `["file", ROOT, PATH,
FACTS]` for each entry of a scanned folder and `["listing", PATH, NAMES]` for each folder of the tree in it;
`["mention", ROOT, PATH, WORDS]` for a `.cmd` file that names a touched file; `["unreadable", PATH, REASON]`;
`["end", COUNTS]` last.
"""

import json
import sys
from typing import Any

FACTS_BYTES = 256 << 20
"""The most that one step may write: a build of perf writes some 20 MB, and the reader holds all of it in memory."""


class Output:
    """The records of one step, written to standard output."""

    def __init__(self) -> None:
        self.left = FACTS_BYTES

    def emit(self, *record: Any) -> None:
        """Write one record; end the agent where they would be too many."""
        line = json.dumps(record) + "\n"
        self.left -= len(line)
        if self.left < 0:
            self.flush()
            sys.exit("the step's facts exceed %d bytes" % FACTS_BYTES)
        sys.stdout.write(line)

    def flush(self) -> None:
        """Pass on what was written so far."""
        sys.stdout.flush()
