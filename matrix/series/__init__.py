"""Patches on a base: their trees, the first patch that breaks a check, bisection, the gate, and a series' claims."""
