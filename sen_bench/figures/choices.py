"""What can be chosen about pictures. Help texts say it, so nothing that draws is imported here."""

from typing import Literal

Format = Literal["png", "svg"]
FORMATS: tuple[Format, ...] = ("png", "svg")

DECODER_EPOCHS = 10
"""Passes of a decoder over its frames, unless the user says otherwise [ours]."""

DECODER_FRAMES = 20_000
"""Frames of the training split that a decoder learns from at most, unless the user says otherwise [ours]."""
