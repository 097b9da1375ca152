#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Write the event tables and the one big string that they point into."""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


def table(job: tuple[str, list[int]]) -> str:
    """Return the C text of one table; a job is a name and the offsets of its events."""
    name, offsets = job
    entries = "\n".join(f"\t{{ {offset} }}," for offset in offsets)
    return f"static const struct compact_pmu_event pmu_events__{name}[] = {{\n{entries}\n}};\n"


def main(events: str, tables_file: str, string_file: str) -> None:
    """Read the events and write both files."""
    models = json.loads(Path(events).read_text())
    string, jobs = "", []
    for name, names in models.items():
        offsets = []
        for event in names:
            offsets.append(len(string))
            string += event + "\0"
        jobs.append((name, offsets))
    with ProcessPoolExecutor(max_workers=2) as pool:
        tables = list(pool.map(table, jobs))
    rows = "".join(f"\t{{ pmu_events__{name}, {len(names)} }},\n" for name, names in models.items())
    head = '#include "pmu-events.h"\n\n'
    end = f"const struct pmu_table pmu_tables[] = {{\n{rows}\t{{ 0, 0 }},\n}};\n"
    Path(tables_file).write_text(head + "\n".join(tables) + "\n" + end)
    literal = string.replace("\0", "\\0")
    Path(string_file).write_text(f'{head}const char big_c_string[] = "{literal}";\n')


if __name__ == "__main__":
    main(*sys.argv[1:])
