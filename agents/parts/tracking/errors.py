"""Why a pose is not sent; the message says what was wrong, and the value."""

from __future__ import annotations


class OutOfRange(ValueError):
    """A pose that a protocol cannot carry. It is never wrapped or clipped into one that it can."""
