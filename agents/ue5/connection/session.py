"""One connection to one engine, from its first answer to its last: what it is, what is in its level, how fast it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from agents.ue5.connection.discovery import Address, Candidate, is_embedded
from agents.ue5.level.learning import learn
from agents.ue5.level.roster import Roster
from agents.ue5.measures.frame_rate import FrameRate
from agents.ue5.measures.latency import Window
from agents.ue5.moving.mover import Mover
from agents.ue5.moving.outbox import Batch, Outbox
from agents.ue5.preflight.findings import is_forbidden
from agents.ue5.remote import answers, requests
from agents.ue5.remote.http import HttpWire
from agents.ue5.remote.requests import Ask
from agents.ue5.remote.websocket import open_websocket
from agents.ue5.remote.wire import CONNECT_SECONDS, PASSPHRASE_CODES, Answer, Lost, Refused, RemoteError, Wire, accepted, message_of
from schemas import scene, ue5


class Session:
    """An engine that answers. `no_websocket` says why HTTP is used, None: it is not.

    `stale`: the level may be another than the roster says. Who reads or changes it takes `turn`. `forbidden` is what the engine said to
    functions that it does not let be called.
    """

    def __init__(self, engine: str, address: Address, wire: Wire, no_websocket: str | None) -> None:
        self.engine = engine
        self.address = address
        self.wire = wire
        self.no_websocket = no_websocket
        self.roster = Roster()
        self.window = Window()
        self.frames = FrameRate(engine)
        self.began = time.monotonic()
        self.stale = False
        self.turn = asyncio.Lock()
        self.forbidden: dict[str, str] = {}
        self.pid: int | None = None
        self._mover: Mover | None = None
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        wire.ended.add_done_callback(lambda ended: self.lose(ended.result()))

    @property
    def embedded(self) -> bool:
        return is_embedded(self.engine)

    @property
    def connected(self) -> ue5.Connected:
        return ue5.Connected(
            engine=self.engine,
            embedded=self.embedded,
            http=self.address.http_url,
            websocket=self.address.websocket_url if self.no_websocket is None else None,
            transport=self.wire.transport,
            pid=self.pid,
        )

    @property
    def lived(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self.began

    async def ask(self, ask: Ask) -> bytes:
        """One request, and the body of its answer. Raises RemoteError."""
        answer = await self._request(ask.url, requests.encoded(ask))
        self._heed([ask], [answer])
        return accepted(answer)

    async def ask_all(self, asks: list[Ask]) -> list[Answer]:
        """Several requests as one, and their answers in the order of asking. Raises RemoteError, where none is answered."""
        body = accepted(await self._request(requests.BATCH, requests.encoded_batch(asks)))
        said = answers.parts(body, len(asks))
        self._heed(asks, said)
        return said

    async def learn(self) -> None:
        """Read what is in the level. A level that the engine does not let be read counts as empty. Raises RemoteError.

        Whom the engine did not have before is put where it was wanted meanwhile.
        """
        async with self.turn:
            self.stale = False
            try:
                self.roster.replace(await learn(self.ask, self.ask_all))
            except Refused:
                self.roster.replace([])
        self.welcome()

    async def read_frame(self) -> scene.Frame | None:
        """How fast the engine drew since the last call. Raises RemoteError."""
        return self.frames.read(answers.count(await self.ask(requests.frame_count())), time.monotonic())

    def latency(self) -> ue5.Latency:
        """Of the time since this was last asked. An embedded engine answers between its frames: there is none to take off."""
        frame = None if self.embedded else self.frames.frame
        return self.window.close(self.engine, self.wire.transport, None if frame is None else frame.frame_time)

    def begin(self, outbox: Outbox, hz: float, on_applied: Callable[[ue5.Applied], None]) -> None:
        """Bring the engine to what was wanted before it came, and keep it there. `on_applied` hears of cameras that it has moved."""
        self._mover = Mover(self.wire, outbox, self.roster, self.window, hz, on_applied, self._doubt)
        outbox.send_again()
        self.nudge()

    def nudge(self) -> None:
        """There may be something in the outbox."""
        if self._mover is not None:
            self._mover.nudge()

    def welcome(self) -> None:
        """The roster has actors that it did not have: they are put where they are wanted."""
        if self._mover is not None:
            self._mover.welcome()

    def lose(self, reason: str) -> None:
        """The engine is of no use any more."""
        if not self.ended.done():
            self.ended.set_result(reason)

    async def close(self) -> None:
        """Let go of the engine."""
        if self._mover is not None:
            await self._mover.close()
        await self.wire.close()

    def _doubt(self, batch: Batch, said: list[Answer]) -> None:
        """Not all moves were done: an actor may be gone. What is refused again after the level was read is not a matter of that."""
        self.stale |= any(batch.wishes[label].time is not None for label in batch.refused(said))
        self._heed(batch.asks, said)

    def _heed(self, asks: list[Ask], said: list[Answer]) -> None:
        """Remember what the engine does not let be called."""
        for ask, answer in zip(asks, said, strict=True):
            if answer.code != 200 and is_forbidden(message := message_of(answer)):
                self.forbidden[ask.what or ""] = message

    async def _request(self, url: str, body: bytes) -> Answer:
        began = time.perf_counter()
        try:
            answer = await self.wire.request(requests.VERB, url, body)
        except RemoteError:
            self.window.missed()
            raise
        self.window.answered(time.perf_counter() - began)
        return answer


async def open_session(place: Candidate, passphrase: str | None) -> Session:
    """Connect to an engine: by WebSocket, else by HTTP. Raises RemoteError, where nothing there is an engine that answers us.

    The passphrase is told where a person gave the address; elsewhere, which is on this machine, only to what asks for one.
    """
    if not place.given and passphrase is not None:
        try:
            return await _open(place.address, None)
        except Refused as error:
            if error.code not in PASSPHRASE_CODES:
                raise
    return await _open(place.address, passphrase)


async def _open(address: Address, passphrase: str | None) -> Session:
    version = await _version_at(address, passphrase)
    try:
        return Session(version, address, await _open_websocket(address, passphrase, version), None)
    except RemoteError as error:
        return Session(version, address, HttpWire(address.host, address.http, passphrase), str(error))


async def _version_at(address: Address, passphrase: str | None) -> str:
    """What answers by HTTP, in its own words. Raises RemoteError."""
    wire = HttpWire(address.host, address.http, passphrase, CONNECT_SECONDS)
    try:
        return await _version(wire)
    finally:
        await wire.close()


async def _open_websocket(address: Address, passphrase: str | None, version: str) -> Wire:
    """The WebSocket of the engine that answers by HTTP. Raises RemoteError, also where another engine has that port."""
    wire = await open_websocket(address.websocket_url, passphrase)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            other = await _version(wire)
    except (RemoteError, TimeoutError) as error:
        await wire.close()
        raise Lost(f"{address.websocket_url} gives no answer: {str(error) or type(error).__name__}") from error
    if other != version:
        await wire.close()
        raise Lost(f"{address.websocket_url} is another engine, {other}")
    return wire


async def _version(wire: Wire) -> str:
    ask = requests.engine_version()
    return answers.version(accepted(await wire.request(requests.VERB, ask.url, requests.encoded(ask))))
