"""Loads the matrix's options and fixtures for `pytest tests/cells`."""

pytest_plugins = ["matrix.runs.plugin"]
