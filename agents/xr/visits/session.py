"""A session of WebXR that a page has: what is said of it when it starts and when it ends, and what came of its frames."""

from __future__ import annotations

import hashlib

from agents.xr.observation import Source
from agents.xr.wire.messages import Begin
from schemas.xr import Ended, Started

_SECOND = 1_000_000_000
_LONGEST = 400
"""Letters of what a page says of itself that are passed on."""


class Session:
    """`frames` were taken, `late` were not, since `began`, in ns by a clock that nobody sets."""

    def __init__(self, page: str, user_agent: str, begin: Begin, began: int) -> None:
        self.begin = begin
        self.started = _started(page, user_agent, begin)
        self.source = Source(name=self.started.session, origin="webxr", kind=self.started.kind)
        self.frames = self.late = 0
        self.began = began

    def ended(self, reason: str, now: int) -> Ended:
        seconds = max(now - self.began, 0) / _SECOND
        return Ended(session=self.started.session, reason=reason, frames=self.frames, late=self.late, seconds=seconds)


def _started(page: str, user_agent: str, begin: Begin) -> Started:
    spoken = [user_agent, f"space {begin.space}", *begin.profiles]
    return Started(
        session=session_name(page, begin.session),
        origin="webxr",
        kind="real" if begin.native else "simulated",
        description="; ".join(spoken)[:_LONGEST],
        mode=begin.mode,
        rate=begin.rate,
    )


def session_name(page: str, session: str) -> str:
    """The bus's name of a page's session: the two names together may be longer than a name is."""
    named = hashlib.sha256(f"{page} {session}".encode())
    return f"webxr-{named.hexdigest()[:12]}"
