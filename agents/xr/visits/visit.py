"""One connection of a page: what each of its messages is for."""

from __future__ import annotations

from collections.abc import Callable

from agents.xr.visits.page import Page
from agents.xr.wire.messages import Begin, Echo, End, Frame, Message, Ping, Pong, Rest, Shown

OnShown = Callable[[int, int, float], None]
"""A page has shown the overlay's picture of this sequence, at a time in ns by this machine's clock, give or take so many seconds."""


class Visit:
    """A `Visitor` of the door. Once the page has come again by another connection, nothing that comes by this one counts."""

    def __init__(self, page: Page, on_shown: OnShown, steady: Callable[[], int]) -> None:
        self._page = page
        self._number = page.connect()
        self._on_shown = on_shown
        self._steady = steady

    def heard(self, message: Message, received: int) -> Pong | None:
        if self._page.connection != self._number:
            return None
        if isinstance(message, Ping):
            return Pong(number=message.number, asked=message.asked, received=received, sent=received)
        self._take(message, received)
        return None

    def left(self, reason: str) -> None:
        """The page may come again: only `Visits.tick` ends its session."""
        if self._page.connection == self._number:
            self._page.left = (self._steady(), reason)

    def _take(self, message: Message, received: int) -> None:
        match message:
            case Frame():
                self._page.frame(message, received)
            case Echo():
                self._page.echo(message, received)
            case Shown():
                self._shown(message)
            case Begin():
                self._page.begin(message, self._steady())
            case End(session=session, reason=reason):
                self._page.end(session, reason, self._steady())
            case Rest(session=session, visibility=visibility):
                self._page.rest(session, f"the page is {visibility}")

    def _shown(self, message: Shown) -> None:
        """Without a round trip nobody knows when that was."""
        shown, uncertainty = self._page.clock.to_host(message.shown), self._page.clock.uncertainty(message.shown)
        if shown is not None and uncertainty is not None:
            self._on_shown(message.sequence, shown, uncertainty)
