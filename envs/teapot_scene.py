"""Camera, light and grays of 3D Teapot: what both renderers agree on, and neither is imported for.

They are our choice; the paper shows gray frames of 64 × 64 and says no more.
"""

IMAGE_SIZE = 64

#: Samples along the side of a pixel. [ours]
SAMPLES = 2

#: How far the camera is from the centre of the ball around the teapot, in its radii.
DISTANCE = 3.0

#: The tangent of half the field of view; a margin of a pixel stays around the ball.
HALF_WIDTH = 0.37

#: The direction towards the light: from the upper left, behind the camera; of unit length up to rounding.
LIGHT = (-0.48, -0.64, 0.6)

BACKGROUND, AMBIENT, DIFFUSE = 0, 40, 215
