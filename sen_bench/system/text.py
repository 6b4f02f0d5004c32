"""Text from outside, as it is shown: what a terminal would obey is escaped."""

from __future__ import annotations

# Longer than any name or path of ours; a whole file in place of a name does not fill the screen.
_LONGEST = 1000


def shown(text: object) -> str:
    """Text that comes from outside (a file, a server, a plugin), in one line that a terminal only shows.

    Escape sequences, newlines, marks that turn the direction of writing, and characters that no encoding
    has are written as Python writes them in a string: ``\\x1b``, ``\\n``, ``\\u202e``, ``\\udcff``.

    Args:
        text: The text, or what is shown by its ``str``.
    """
    plain = str(text)
    if not plain.isprintable():
        plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}… ({len(plain)} characters)"


def number_of(count: int, noun: str, plural: str | None = None) -> str:
    """A number of things, as in "1 epoch" and "2 epochs".

    Args:
        count: How many.
        noun: What one is called.
        plural: What several are called; None: the noun with an s.
    """
    return f"{count} {noun}" if count == 1 else f"{count} {plural or f'{noun}s'}"
