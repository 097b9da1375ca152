"""The nouns: images, builds, trees, cells and their results."""
