"""`python -m matrix` is `perf-matrix`."""

from matrix.cli import main

main()
