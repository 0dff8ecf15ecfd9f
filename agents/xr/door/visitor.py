"""What the door hands on: to whom a page's messages go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from agents.xr.wire.messages import Hello, Message, Pong


class Visitor(Protocol):
    """Listens to one page, from its hello until it is gone."""

    def heard(self, message: Message, received: int) -> Pong | None:
        """A message, whose bytes were here at `received` (ns since the Unix epoch). An answer goes at once, and its `sent` is set then."""

    def left(self, reason: str) -> None:
        """There will be no more."""


Welcome = Callable[[Hello], Visitor]
"""Somebody to listen to a page that has said hello."""
