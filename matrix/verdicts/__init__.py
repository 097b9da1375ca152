"""From observations and results to verdicts: of a cell, a gate, a series, a claim, a comparison. Pure."""
