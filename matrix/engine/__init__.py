"""Container engines: what the matrix needs of one, its backends, images and caches."""
