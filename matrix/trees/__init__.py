"""From a source to a tree: sources, archives, edits, patches and volumes."""
