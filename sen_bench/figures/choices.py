"""What can be chosen about pictures. Help texts say it, so nothing that draws is imported here."""

from typing import Literal

Format = Literal["png", "svg", "pdf"]
FORMATS: tuple[Format, ...] = ("png", "svg", "pdf")

DEFAULT_FORMATS: tuple[Format, ...] = ("png", "svg")
"""Formats that are written unless the user says otherwise."""

CHART_FORMATS: tuple[Format, ...] = ("svg", "pdf")
"""Formats of the charts of the page, unless the user says otherwise."""

DECODER_EPOCHS = 10
"""Passes of a decoder over its frames, unless the user says otherwise [ours]."""

DECODER_FRAMES = 20_000
"""Frames of the training split that a decoder learns from at most, unless the user says otherwise [ours]."""
