"""Container engines: the protocol of one, its backends, images and caches."""
