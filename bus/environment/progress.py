"""How far the making of an environment is: in words, and as often as a reader wants it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bus.lifecycle import EnvironmentChanged

PACE = 2.0
"""Seconds between two pieces of news of what is being made."""


@dataclass(slots=True)
class Throttle:
    """Of the news of one making it lets the newest through, at most once in PACE, and nothing twice; its end always."""

    _last: EnvironmentChanged | None = None
    _next: float = float("-inf")

    def passes(self, news: EnvironmentChanged, now: float) -> bool:
        """Whether this is to be said at the time `now`. What is not is to be offered again until its time has come."""
        if news == self._last or (news.state == "making" and now < self._next):
            return False
        self._last, self._next = news, now + PACE
        return True


def described(change: EnvironmentChanged) -> str:
    """As `making its environment: installing torch (2 of 4)`."""
    match change.state:
        case "ready":
            return "its environment is ready"
        case "failed":
            return f"its environment could not be made: {change.reason}"
        case "making":
            return f"making its environment: {change.doing}{f' ({change.done + 1} of {change.total})' if change.total else ''}"
