"""What the bridge does for as long as it has an engine: says what the level holds, how fast it is drawn, and what is amiss."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from agents.ue5.connection.session import Session
from agents.ue5.exports.snapshot import MetricsRow
from agents.ue5.level.roster import pages
from agents.ue5.measures.gpu import Cards
from agents.ue5.measures.load import Meter, listener
from agents.ue5.moving.outbox import Outbox
from agents.ue5.preflight.findings import decide, summary
from agents.ue5.preflight.looking import look
from agents.ue5.remote.wire import Late, RemoteError
from bus.agent import Publish
from bus.lifecycle import AgentState
from schemas import scene, ue5

SETTLED = 1.5
"""Seconds after connecting, when it is known how fast the engine draws."""
HISTORY = 3600
"""Seconds of which an export has figures."""

_log = structlog.get_logger()


class Watch:
    """One session's news. `say` tells how the agent is."""

    def __init__(
        self,
        session: Session,
        outbox: Outbox,
        publish: Publish,
        say: Callable[[AgentState, str], None],
    ) -> None:
        self.session = session
        self.latency: ue5.Latency | None = None
        self.load: ue5.Load | None = None
        self.found: ue5.Preflight | None = None
        self.metrics: deque[MetricsRow] = deque(maxlen=HISTORY)
        self._outbox = outbox
        self._publish = publish
        self._say = say
        self._meter: Meter | None = None
        self._shown: list[scene.Actor] | None = None
        self._forbidden = 0

    async def begin(self, cards: Cards | str, hz: float) -> None:
        """Learn what the engine is and shows, and bring it to what was wanted before it came. Raises RemoteError."""
        session = self.session
        session.pid, reason = await asyncio.to_thread(listener, session.address.host, session.address.http)
        self._meter = Meter(session.engine, session.pid, reason, cards)
        await session.learn()
        self._publish(ue5.CONNECTED, session.connected)
        self._show()
        session.begin(self._outbox, hz, self._say_applied)
        self._say("running", self._name)

    async def measure(self) -> None:
        """Once a second: how fast the engine draws and answers, and whether something is amiss that was not."""
        session = self.session
        await self._read_frame()
        self.latency = session.latency()
        self._publish(ue5.LATENCY, self.latency)
        self._note(session.frames.frame, self.latency)
        self._show()
        self._meet_strangers()
        if session.lived >= SETTLED and (self.found is None or len(session.forbidden) > self._forbidden):
            await self.check()

    async def weigh(self) -> None:
        """What the engine's process takes of the machine."""
        if self._meter is not None:
            self.load = await asyncio.to_thread(self._meter.read)
            self._publish(ue5.LOAD, self.load)

    async def learn(self) -> None:
        """Read the level again, and say what is another. Raises RemoteError."""
        await self.session.learn()
        self._show()

    async def check(self) -> ue5.Preflight:
        """Look whether all is as the bridge needs it, and say so. Raises RemoteError."""
        self.found = decide(await look(self.session))
        self._forbidden = len(self.session.forbidden)
        self._publish(ue5.PREFLIGHT_DONE, self.found)
        trouble = summary(self.found)
        self._say("running" if trouble is None else "degraded", trouble or self._name)
        return self.found

    def described(self, status: ue5.Status) -> ue5.Status:
        """The status of the bridge, with what is known of its engine."""
        session, frame = self.session, self.session.frames.frame
        return replace(
            status,
            connected=session.connected,
            rate=None if frame is None else frame.rate,
            actors=len(session.roster),
            latency=self.latency,
            load=self.load,
        )

    @property
    def _name(self) -> str:
        return f"{self.session.engine} at {self.session.address}"

    async def _read_frame(self) -> None:
        try:
            frame = await self.session.read_frame()
        except Late as error:
            self.session.lose(str(error))
        except RemoteError as error:  # a connection that is lost ends the session, and what is not allowed is a finding
            _log.debug("the frame count is unknown", reason=str(error))
        else:
            if frame is not None:
                self._publish(scene.FRAME, frame)

    def _note(self, frame: scene.Frame | None, latency: ue5.Latency) -> None:
        """Keep a second's figures for the session's export."""
        row = MetricsRow(
            time_ns=time.time_ns(),
            rate=None if frame is None else frame.rate,
            frame_time=None if frame is None else frame.frame_time,
            round_trip_p50=latency.round_trip_p50,
            round_trip_p99=latency.round_trip_p99,
        )
        self.metrics.append(row)

    def _say_applied(self, applied: ue5.Applied) -> None:
        self._publish(ue5.APPLIED, applied)

    def _show(self) -> None:
        """Say what the level holds, where that is not what was said last."""
        if not self.session.roster.take_change():
            return
        actors = [each.actor for each in self.session.roster]
        if actors != self._shown:
            self._shown = actors
            for page in pages(self.session.engine, actors):
                self._publish(scene.ACTORS, page)

    def _meet_strangers(self) -> None:
        """Somebody moves what the level, as it was last read, does not have: say so once, and read it again."""
        if new := self._outbox.strangers():
            _log.warning("moved, and not in the level", labels=new[:10], count=len(new))
            self.session.stale = True
