"""Why a pose is not sent, or not taken; the message says what was wrong, and the value."""

from __future__ import annotations


class OutOfRange(ValueError):
    """A pose that a protocol cannot carry. It is never wrapped or clipped into one that it can."""


class NotTaken(ValueError):
    """A packet that says no pose, or none that is taken. `reason` is of a few words: such packets are counted by it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
