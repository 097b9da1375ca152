"""Begins the injection in a process of the matrix.

Python imports this module at the start of the command, of the run's pytest and of its workers, as its folder is on
their PYTHONPATH (documentation of the module `site`).
"""

from __future__ import annotations

import importlib

importlib.import_module("injection").begin()
