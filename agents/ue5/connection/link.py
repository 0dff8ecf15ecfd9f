"""Keeps the bridge connected: looks for an engine, holds on to it until it is lost, and looks again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from agents.ue5.connection.delays import Delays
from agents.ue5.connection.discovery import Address, Candidate, candidates
from agents.ue5.connection.session import Session, open_session
from agents.ue5.remote.wire import RemoteError
from schemas import engine

_log = structlog.get_logger()

Came = Callable[[Session], Awaitable[None]]
Went = Callable[[Session, str], Awaitable[None]]


class Link:
    """At most one session at a time. `came` and `went` are called, and awaited, around each; `missing` says why there is none.

    `came` may raise RemoteError: the engine was lost again before it could be used.
    """

    def __init__(self, configured: Address | None, passphrase: str | None, came: Came, went: Went, missing: Callable[[str], None]) -> None:
        self.configured = configured
        self.serving: engine.Serving | None = None
        self.session: Session | None = None
        self.reason: str | None = None
        self.passphrase = passphrase
        self._came = came
        self._went = went
        self._missing = missing
        self._changed = asyncio.Event()
        self._attempted = asyncio.Event()

    @property
    def places(self) -> list[Candidate]:
        """Where an engine is looked for, in this order."""
        return candidates(self.configured, self.serving)

    def use(self, address: Address | None) -> None:
        """Look there from now on; None: look everywhere again. A connection that there is ends."""
        self.configured = address
        if self.session is not None:
            self.session.lose("another engine is to be used")
        self._look_now()

    def hear(self, serving: engine.Serving) -> None:
        """The embedded engine says where it serves. Raises BadAddress."""
        candidates(None, serving)
        self.serving = serving
        if self.session is None:
            self._look_now()

    async def attempted(self, seconds: float) -> None:
        """Return when it is known whether an engine is where one was looked for, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._attempted.wait()

    async def keep(self) -> None:
        """Be connected whenever an engine is there. Runs until it is cancelled."""
        delays = Delays()
        while True:
            self._changed.clear()
            began = time.monotonic()
            try:
                await self._live()
            except Exception as error:  # the boundary between one engine and the next: whatever it was, another look may go well
                _log.error("the session ends early", exc_info=error)
                self._fail(f"{type(error).__name__}: {error}")
            delay = delays.after(time.monotonic() - began if self.reason is None else 0.0)
            await self._pause(delay)

    async def _live(self) -> None:
        """One session from its beginning to its end, or one look in vain."""
        session = await self._find()
        if session is None:
            return
        self.session = session
        try:
            await self._use(session)
        finally:
            self.session = None
            await session.close()

    async def _use(self, session: Session) -> None:
        try:
            await self._came(session)
        except RemoteError as error:
            if not self._changed.is_set():
                self._fail(f"{session.address} was lost at once: {error}")
            return
        if not self._changed.is_set():
            self._attempted.set()
        reason = await session.ended
        self.session = None
        await self._went(session, reason)

    async def _find(self) -> Session | None:
        """The first engine that answers us; none, where it is to be looked for elsewhere meanwhile."""
        troubles = []
        for place in self.places:
            found = await self._look_at(place)
            if self._changed.is_set():
                if isinstance(found, Session):
                    await found.close()
                return None
            if isinstance(found, Session):
                self.reason = None
                return found
            troubles.append(f"{place.address}: {found}")
        self._fail("; ".join(dict.fromkeys(troubles)))  # the embedded engine may serve at Unreal's own port
        return None

    async def _look_at(self, place: Candidate) -> Session | str:
        """An engine that is ours to use, or why there is none."""
        try:
            session = await open_session(place, self.passphrase)
        except RemoteError as error:
            return str(error)
        if place.takes(session.engine):
            return session
        await session.close()
        return f"{session.engine}, which is no Unreal"

    def _fail(self, reason: str) -> None:
        """It is known that there is no engine, and why."""
        self.reason = reason
        self._attempted.set()
        self._missing(reason)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # not wait_for, which loses a cancellation that comes with the answer (cpython#86296)
                await self._changed.wait()

    def _look_now(self) -> None:
        self._attempted.clear()
        self._changed.set()
