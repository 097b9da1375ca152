"""A result of another machine: its bundle, its consistency, and the same cell run here."""
