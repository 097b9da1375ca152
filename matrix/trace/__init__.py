"""The processes of a traced step: the target, the products and the time of each. Pure."""
