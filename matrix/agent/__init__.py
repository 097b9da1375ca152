"""The agent, which runs inside a cell: it does one step and writes the facts as JSON lines.

Standard library only, Python 3.6 syntax: this folder is mounted into containers of any age.
"""
