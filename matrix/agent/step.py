"""One step: what is touched, the commands, and what they left. Standard library only, Python 3.6 syntax."""

import json
import os
import re
from typing import Any, Dict, List

from matrix.agent import command, privileges
from matrix.agent.records import Output
from matrix.agent.scan import Scan, beginning

Spec = Dict[str, Any]


def counter(paths: List[str], key: bytes) -> int:
    """Return a cgroup's counter from the first of `paths` that has it, or 0."""
    for path in paths:
        match = re.search(rb"^" + key + rb" (\d+)", beginning(path), re.M)
        if match:
            return int(match.group(1))
    return 0


def limits_hit() -> Dict[str, int]:
    """Return how often the container's limits on memory and processes were hit so far.

    The files are those of https://docs.kernel.org/admin-guide/cgroup-v2.html, and then those of cgroups v1.
    """
    base = "/sys/fs/cgroup/"
    return {
        "oom_kills": counter([base + "memory.events", base + "memory/memory.oom_control"], b"oom_kill"),
        "fork_failures": counter([base + "pids.events", base + "pids/pids.events"], b"max"),
    }


def main(words: List[str]) -> None:
    """Do one step: touch, note mentions, run the commands until one fails, scan.

    Args:
        words: a JSON object, in parts as long as an argument of a program may be (execve(2)).

    """
    spec: Spec = json.loads("".join(words))
    if spec["users"]:
        privileges.become_agent(spec["users"]["agent"], spec["users"]["commands"])
    output = Output()
    scan = Scan(output)
    for folder in spec["folders"]:
        os.makedirs(folder, exist_ok=True)
    for path in spec["touch"]:
        os.utime(path, None)
        # Before the commands, as they write the `.cmd` files anew.
        scan.mentions(spec["roots"], os.path.basename(path))
    before = limits_hit()
    _run_commands(spec, output)
    # The counters are of the container, which may have run other steps before.
    hit = {key: value - before[key] for key, value in limits_hit().items()}
    for name, root in sorted(spec["roots"].items()):
        scan.folder(name, root, spec["merged"] if name == "source" else "")
    output.emit("end", hit)
    output.flush()


def _run_commands(spec: Spec, output: Output) -> None:
    """Run the commands until one fails, or all of them where the step keeps going."""
    for one in spec["commands"]:
        status = command.run(one, spec, output)
        if status and not spec["keep_going"]:
            return
