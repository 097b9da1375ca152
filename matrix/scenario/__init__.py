"""From a cell to its steps, and from a saved transcript to observations. Pure."""
