"""Many machines: Dask gives the groups of a run's cells to workers, each of which has an engine of its own."""
