"""Text that grows, in pieces that may be shown: whole characters, and nothing of a text at which it is to stop."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class Pieces:
    """Bytes of UTF-8 become text. What is none becomes U+FFFD, as `bytes.decode` replaces it; half a character waits for the rest.

    The text ends before the first of the `stops` that is complete, of those that end at the same place before the longest.
    What may be the beginning of one waits too. The pieces together are the whole text, wherever the bytes are divided.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = stops
        self._held = ""
        self.stopped = False

    def add(self, data: bytes, final: bool = False) -> str:
        """What can be shown behind these bytes; with `final` all that waited."""
        text = self._held + self._decoder.decode(data, final)
        start = first_stop(text, self._stops)
        if start is not None:
            self.stopped, self._held = True, ""
            return text[:start]
        shown = len(text) if final else len(text) - begun(text, self._stops)
        self._held = text[shown:]
        return text[:shown]


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the stop begins that is complete first."""
    found = [(start + len(stop), start) for stop in stops if (start := text.find(stop)) >= 0]
    return min(found)[1] if found else None


def begun(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a stop."""
    longest = max(map(len, stops), default=1) - 1
    lengths = range(min(longest, len(text)), 0, -1)
    return next((length for length in lengths if any(stop.startswith(text[-length:]) for stop in stops)), 0)
