"""How well a model does: the protocol, and its metrics."""
