"""The bridge holds on to one engine, and goes to another when it is told to, whatever it is just doing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from test_ue5_session import Scripted, answered

from agents.ue5.connection import link
from agents.ue5.connection.discovery import Address, Candidate, parse_address
from agents.ue5.connection.link import Link
from agents.ue5.connection.session import Session
from bus.testing import run

FIRST, SECOND = parse_address("127.0.0.1:1000"), parse_address("127.0.0.1:2000")
SLOW = 0.05


class Engines:
    """An engine at every address; connecting to it, or learning what it shows, takes a while."""

    def __init__(self, opening: float = 0.0, coming: float = 0.0) -> None:
        self._opening, self._coming = opening, coming
        self.opened: list[Address] = []
        self.went: list[str] = []

    async def open(self, place: Candidate, passphrase: str | None) -> Session:
        self.opened.append(place.address)
        await asyncio.sleep(self._opening)
        return Session(f"engine at {place.address}", place.address, Scripted(answered), None)

    async def came(self, session: Session) -> None:
        await asyncio.sleep(self._coming)

    async def lost(self, session: Session, reason: str) -> None:
        self.went.append(session.engine)


@asynccontextmanager
async def linking(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Link]:
    """A link to the first engine that has begun to be made."""
    monkeypatch.setattr(link, "open_session", engines.open)
    made = Link(FIRST, None, engines.came, engines.lost, lambda reason: None)
    keeping = asyncio.ensure_future(made.keep())
    await asyncio.sleep(SLOW / 2)
    try:
        yield made
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@pytest.mark.parametrize("engines", [Engines(opening=SLOW), Engines(coming=SLOW), Engines()], ids=["opening", "coming", "connected"])
def test_another_address_is_gone_to_whatever_is_being_done_with_the_first(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> tuple[Address, list[Address]]:
        async with linking(engines, monkeypatch) as made:
            made.use(SECOND)
            await made.attempted(3.0)
            assert made.session is not None
            return made.session.address, engines.opened

    assert run(body()) == (SECOND, [FIRST, SECOND])


def test_an_engine_that_was_told_of_is_told_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> list[str]:
        engines = Engines(coming=SLOW)
        async with linking(engines, monkeypatch) as made:
            made.use(SECOND)
            await made.attempted(3.0)
            return engines.went

    assert run(body()) == [f"engine at {FIRST}"]
