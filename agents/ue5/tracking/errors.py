"""Why a pose is not sent, or a packet not taken; the message says what was wrong, and the value."""

from __future__ import annotations


class OutOfRange(ValueError):
    """A pose that a protocol cannot carry. It is never wrapped or clipped into one that it can."""


class BadPacket(ValueError):
    """Bytes that are no packet of the protocol."""
