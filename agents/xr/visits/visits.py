"""All pages that are there, or were a moment ago."""

from __future__ import annotations

import time
from collections.abc import Callable

from agents.xr.door.visitor import Visitor
from agents.xr.timing.pace import Pace
from agents.xr.tracking.tracker import Publish, Tracker
from agents.xr.visits.page import Page
from agents.xr.visits.session import Session
from agents.xr.visits.visit import OnShown, Visit
from agents.xr.wire.messages import Hello
from schemas import xr
from schemas.xr import Started

PATIENCE = 3_000_000_000
"""In ns: a page that comes back within it has the same session."""
STARTS, STARTS_SECONDS = 32, 10
"""So many sessions of all pages start in so many seconds; more wait. Twice as many as there are pages at once."""


class Visits:
    """Welcomes pages, by the names that they keep over reconnects. `steady` is a clock that nobody sets, in ns."""

    def __init__(self, tracker: Tracker, publish: Publish, on_shown: OnShown, steady: Callable[[], int] = time.monotonic_ns) -> None:
        self._tracker = tracker
        self._publish = publish
        self._on_shown = on_shown
        self._steady = steady
        self._starts = Pace(STARTS, STARTS_SECONDS)
        self._pages: dict[str, Page] = {}

    def welcome(self, hello: Hello) -> Visitor:
        """Somebody who listens to the page that says hello, for the first time or again."""
        page = self._pages.setdefault(hello.page, Page(hello, self._tracker, self._publish, self._starts))
        return Visit(page, self._on_shown, self._steady)

    def sessions(self) -> list[Started]:
        """Those that go on, the one that began last at the end."""
        return [session.started for session, _ in self._running()]

    def clock(self) -> xr.Clock | None:
        """That of the page whose session began last; None where there is none, or it is not known yet."""
        running = self._running()
        return running[-1][1].clock.described() if running else None

    def tick(self) -> None:
        """End the sessions of pages that have not come back, and start those that wait; some times a second."""
        now = self._steady()
        for name, page in list(self._pages.items()):
            if page.left is None:
                page.start(now)
            elif now - page.left[0] > PATIENCE:
                page.finish(page.left[1], now)
                del self._pages[name]

    def end(self, reason: str) -> None:
        """End all sessions."""
        for page in self._pages.values():
            page.finish(reason, self._steady())
        self._pages.clear()

    def _running(self) -> list[tuple[Session, Page]]:
        running = [(page.session, page) for page in self._pages.values() if page.session is not None]
        return sorted(running, key=lambda each: each[0].began)
