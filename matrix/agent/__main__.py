"""The agent's command line.

`step WORD…`: do the step whose JSON object the words give, joined; `hold USER`: be a container's first process;
`read USER PATH BYTES`: write a file's beginning.
"""

import sys

from matrix.agent import hold, read, step

MODES = {"step": step.main, "hold": hold.main, "read": read.main}

if __name__ == "__main__":
    MODES[sys.argv[1]](sys.argv[2:])
