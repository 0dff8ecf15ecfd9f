"""What people ask of the engine by commands: each request becomes an event, and each failure a refusal with its code."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from agents.parts.links import keep
from agents.ue5.connection.session import Session
from agents.ue5.exports.saving import SHOTS
from agents.ue5.level import changes
from agents.ue5.pictures import BadPicture, NoPicture, size_of, whole_picture
from agents.ue5.remote import requests
from agents.ue5.remote.requests import Ask
from agents.ue5.remote.wire import BadAnswer, Late, Lost, Refused, RemoteError
from bus.agent import Publish
from bus.errors import CommandRefused
from schemas import system, ue5

CODES: dict[type[Exception], str] = {
    Lost: "not_connected",
    Late: "timeout",
    NoPicture: "timeout",
    BadPicture: "bad_picture",
    BadAnswer: "refused_by_engine",
    Refused: "refused_by_engine",
}


class Commands:
    """What one session's engine is asked to do. What changes the level goes one after the other."""

    def __init__(self, session: Session, publish: Publish, artifacts: Path) -> None:
        self.session = session
        self._publish = publish
        self._artifacts = artifacts

    async def spawn(self, wanted: ue5.Spawn) -> ue5.Spawned:
        """Raises CommandRefused."""
        async with self.session.turn:
            with refusals():
                actor = await changes.spawn(self._ask, self.session.roster, wanted)
        self.session.welcome()
        return ue5.Spawned(label=actor.label, path=actor.path)

    async def remove(self, label: str) -> ue5.Spawned:
        """Raises CommandRefused."""
        async with self.session.turn:
            with refusals():
                actor = await changes.remove(self._ask, self.session.roster, label)
        return ue5.Spawned(label=actor.label, path=actor.path)

    async def screenshot(self, wanted: ue5.Screenshot) -> ue5.Shot:
        """Have a picture taken, and keep it. Raises CommandRefused, OSError."""
        camera = None if wanted.camera is None else changes.find(self.session.roster, wanted.camera).path
        file = self._artifacts / SHOTS / f"{time.time_ns()}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        with refusals():
            await self._ask(requests.screenshot(str(file.absolute()), wanted.width, wanted.height, camera))
            width, height = size_of(await whole_picture(file))
        kept = await asyncio.to_thread(keep, self._artifacts, file, "screenshot")
        self._publish(system.ARTIFACT, kept)
        path = file.relative_to(self._artifacts).as_posix()
        return ue5.Shot(engine=self.session.engine, path=path, hash=kept.hash, width=width, height=height)

    async def _ask(self, ask: Ask) -> bytes:
        """One request, told on the bus with its answer. Raises RemoteError."""
        began = time.perf_counter()
        try:
            body = await self.session.ask(ask)
        except RemoteError as error:
            self._tell(ask, error.code if isinstance(error, Refused) else 0, time.perf_counter() - began, str(error))
            raise
        self._tell(ask, 200, time.perf_counter() - began, None)
        return body

    def _tell(self, ask: Ask, code: int, seconds: float, error: str | None) -> None:
        called = ue5.Called(
            engine=self.session.engine,
            verb=requests.VERB,
            url=ask.url,
            object=ask.subject,
            what=ask.what,
            code=code,
            seconds=seconds,
            error=error,
        )
        self._publish(ue5.CALLED, called)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """What the engine did not do, as the answer to a command."""
    try:
        yield
    except tuple(CODES) as error:
        raise CommandRefused(CODES[type(error)], str(error)) from error
