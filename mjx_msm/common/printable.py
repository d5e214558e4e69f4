"""Text that a terminal shows as it is, whatever was in a file, and in whichever encoding it takes."""

from __future__ import annotations

import codecs
import unicodedata

PLAIN = "mjx_msm.plain"
"""Name of the error handler below, for `reconfigure` and `open`."""

_IN_ASCII = {
    "°": "deg", "·": "*", "²": "^2", "³": "^3", "±": "+-", "×": "x", "…": "...", "–": "-", "—": "-", "−": "-",
    "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "≈": "~", "“": '"', "”": '"', "‘": "'", "’": "'", "█": "#", "━": "-",
    "ß": "ss", "ø": "oe", "Ø": "Oe", "æ": "ae", "Æ": "Ae", "σ": "sigma", "χ": "chi", "ν": "nu", "µ": "u", "μ": "u",
}  # fmt: skip


def printable(text: str, keep: str = "\n\t") -> str:
    """The text with what would steer a terminal, or is no text at all, written out: ESC as ``\\x1b``."""
    return "".join(c if c in keep or _is_text(c) else _escape(c) for c in text)


def _is_text(c: str) -> bool:
    # not: controls, halves of surrogate pairs (bytes of a file name that are no text), changes of writing direction
    return c.isprintable() or unicodedata.category(c) == "Zs"


def _escape(c: str) -> str:
    return c.encode("unicode_escape", "surrogatepass").decode("ascii")


def register_plain() -> None:
    """Make `PLAIN` known: characters that an encoding lacks become their like in ASCII, or a question mark."""
    codecs.register_error(PLAIN, _plain)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_in_ascii(c) for c in error.object[error.start : error.end]), error.end


def _in_ascii(c: str) -> str:
    if c in _IN_ASCII:
        return _IN_ASCII[c]
    return unicodedata.normalize("NFKD", c).encode("ascii", "ignore").decode("ascii") or "?"
