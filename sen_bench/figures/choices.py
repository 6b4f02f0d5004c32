"""What can be chosen about pictures. Help texts say it, so nothing that draws is imported here."""

from pathlib import Path
from typing import Literal

from sen_bench.errors import ConfigError

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


def format_of(path: Path) -> Format:
    """The format of a picture by the suffix of its file.

    Raises:
        ConfigError: If it is that of no format that can be written.
    """
    for kind in FORMATS:
        if path.suffix.lower() == f".{kind}":
            return kind
    raise ConfigError(
        f"{path} does not say which format: end it with {', '.join(f'.{kind}' for kind in FORMATS)}"
    )
