"""QR codes on a terminal."""

from __future__ import annotations

import segno

QUIET_ZONE = 4
"""Modules of light around a code, ISO/IEC 18004 section 9.1."""

_HALVES = {(1, 1): " ", (0, 0): "█", (0, 1): "▀", (1, 0): "▄"}
"""Two modules, one above the other, 1 is dark: a terminal is dark itself, so what is light is drawn."""


def qr_lines(text: str) -> list[str]:
    """A code for `text`, as lines of characters that a dark terminal shows right way round."""
    rows = [list(row) for row in segno.make(text, error="l", micro=False, boost_error=False).matrix_iter(border=QUIET_ZONE)]
    if len(rows) % 2:
        rows.append([1] * len(rows))  # the terminal's own dark
    return ["".join(_HALVES[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in zip(rows[::2], rows[1::2], strict=True)]
