"""Camera and arm in pictures of Reacher: what both renderers agree on, and neither is imported for."""

import math

IMAGE_SIZE = 128
"""Pixels on a side."""

LOOK_AT = (0.0, 0.0, 0.01)
DISTANCE = 1.24
AZIMUTH, ELEVATION = 90.0, -45.0
"""Where the camera is, in metres and degrees: pinned, as Gymnasium's default depends on the first state."""

SLOPE = 0.8 * (math.sqrt(2.0) - 1.0)
"""Tangent of half the field of view: MuJoCo's 45°, of which the paper keeps the middle 400 of 500 pixels."""

FIELD_OF_VIEW = 2.0 * math.degrees(math.atan(SLOPE))
"""The same in degrees, 36.7: what MuJoCo is told."""

HEIGHT = 0.01
"""Metres of the arm above the ground."""

LENGTHS = (0.1, 0.1, 0.11)
"""Metres from the base to the elbow, from there to the end of the second link and to the tip."""
