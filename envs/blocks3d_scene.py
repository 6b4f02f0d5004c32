"""What a picture of 3D Blocks shows, and at which size; no renderer is imported to know it."""

GRID_SIZE = 5
"""Cells on a side: the renderer has tables for this grid alone."""

COLOURS = ("purple", "green", "orange", "blue", "brown")
"""Of the cubes, in their order."""

IMAGE_SIZE = 50
"""Pixels on a side."""
