"""Why no text is written; the message says what to do."""

from __future__ import annotations


class NoModel(RuntimeError):
    """There is no model yet."""


class Busy(RuntimeError):
    """As many texts as may be written at once are being written."""


class Closing(RuntimeError):
    """The agent ends, and writes no more."""


class Unanswered(RuntimeError):
    """A route to the model gave no logits, or there is none."""
