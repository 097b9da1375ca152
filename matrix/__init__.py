"""Prove on real kernel trees in real distro containers that a change to the build of tools/perf is right."""

__version__ = "0.2.0"
