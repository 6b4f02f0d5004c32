"""The models that are trained and compared."""
