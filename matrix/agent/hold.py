"""The first process of a cell's container. Standard library only, Python 3.6 syntax."""

import os
import signal
from typing import List

from matrix.agent import privileges


def main(words: List[str]) -> None:
    """Stay as the user that the first word names, if any, and reap the orphans of all other processes.

    Steps are started in the container beside this process, which so outlives each of them.
    """
    for user in words:
        privileges.become_nobody(int(user))
    privileges.dumpable(0)
    # Blocked, SIGCHLD stays pending until sigwait takes it: none is lost between the two calls.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.sigwait([signal.SIGCHLD])
