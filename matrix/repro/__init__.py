"""Results of another machine: their bundles, their consistency, and the same cell run on this machine."""
