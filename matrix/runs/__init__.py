"""The run directory, and one cell from its begin to its result."""
