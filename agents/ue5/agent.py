"""The bridge to Unreal Engine 5: moves what the bus moves, and says what the engine shows and how fast. It speaks Remote Control."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agents.ue5 import moves
from agents.ue5.commands import Commands, refusals
from agents.ue5.discovery import BadAddress, parse_address
from agents.ue5.link import Link
from agents.ue5.load import open_cards
from agents.ue5.looking import look_from_outside
from agents.ue5.moves import Outbox
from agents.ue5.preflight import START, decide
from agents.ue5.project.writing import write_project
from agents.ue5.remote.wire import Lost, RemoteError
from agents.ue5.saving import PROJECT, Exporter
from agents.ue5.session import Session
from agents.ue5.settings import Ue5Settings
from agents.ue5.tracking.sender import Sender
from agents.ue5.watch import Watch
from bus.agent import Agent, Bus, answers, every, on
from bus.errors import CommandRefused
from bus.event import Event
from bus.lifecycle import AgentState
from bus.topic import Nothing
from schemas import engine, scene, system, ue5

CONNECT_PATIENCE = 3.0
"""Seconds after which `ue5.connect` says how it stands."""
DRAWING_PATIENCE = 60.0
"""For the picture of an export; an agent that ends has no time for one."""


class Ue5(Agent):
    """Drives an engine that answers Remote Control: Unreal, or the embedded one, by the same requests."""

    publishes = (
        scene.FRAME,
        scene.ACTORS,
        ue5.CONNECTED,
        ue5.DISCONNECTED,
        ue5.LATENCY,
        ue5.LOAD,
        ue5.CALLED,
        ue5.PREFLIGHT_DONE,
        ue5.EXPORTED,
        system.ARTIFACT,
    )
    Settings = Ue5Settings
    settings: Ue5Settings

    def __init__(self, bus: Bus, settings: Ue5Settings, artifacts: Path) -> None:
        super().__init__(bus, settings, artifacts)
        self.outbox = Outbox()
        self.exporter = Exporter(self.publish, artifacts, settings.described)
        self.watch: Watch | None = None
        self.commands: Commands | None = None
        self._promised, self.rates = self.rates, {}  # without an engine nothing is late
        self._tasks: set[asyncio.Task[Any]] = set()  # Any: nobody wants what they return

    def start(self) -> None:
        self.versions = {"picows": version("picows")}
        self.cards = open_cards()
        self.sender = Sender(self.settings.targets)
        for protocol, target in self.settings.targets.asked.items():
            self.declare(protocol, "real", f"camera poses by UDP to {target}")
        self.link = Link(self.settings.configured, self.settings.passphrase, self._came, self._went, self._miss)
        self._say("waiting", "looking for an engine")
        self._spawn(self.link.keep())
        if self.settings.targets.asked:
            self._spawn(self._track())

    async def stop(self) -> None:
        """Export the scene, if there is time for it, and let go of the engine."""
        try:
            if self.watch is not None and self.settings.export_at_end:
                await self.exporter.export(self.watch.session, 0.0)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.sender.close()

    @on(scene.ACTOR_POSE)
    def move(self, event: Event[scene.ActorPoses]) -> None:
        for wanted in event.data.actors:
            self.outbox.put(wanted.actor, moves.placed(wanted, event.time))
        self._nudge()

    @on(scene.CAMERA_POSE)
    def film(self, event: Event[scene.CameraPose]) -> None:
        self.outbox.put(event.data.camera, moves.filmed(event.data, event.time))
        self._nudge()
        self.sender.send(event.data, event.time)

    @on(scene.LIGHT)
    def light(self, event: Event[scene.Light]) -> None:
        self.outbox.put(event.data.light, moves.lit(event.data, event.time))
        self._nudge()

    @on(engine.SERVING, last=True)
    def hear(self, event: Event[engine.Serving]) -> None:
        self.link.hear(event.data)

    @every(seconds=1)
    async def measure(self) -> None:
        if self.watch is not None:
            await self._using(self.watch.session, self.watch.measure())

    @every(seconds=2)
    async def weigh(self) -> None:
        if self.watch is not None:
            await self.watch.weigh()

    @every(seconds=5)
    async def doubt(self) -> None:
        """The engine did not know an actor, or the bridge did not."""
        if self.watch is not None and self.watch.session.stale:
            await self._using(self.watch.session, self.watch.learn())

    @every(seconds=30)
    async def look_again(self) -> None:
        """Somebody else may change the level, too; and what was amiss may have been mended."""
        if self.watch is not None:
            await self._using(self.watch.session, self.watch.learn())
            if self.watch.found is not None and not self.watch.found.ok:
                await self._using(self.watch.session, self.watch.check())

    @answers(ue5.CONNECT)
    async def connect(self, request: ue5.Connect) -> ue5.Status:
        try:
            self.link.use(None if request.address is None else parse_address(request.address))
        except BadAddress as error:
            raise CommandRefused("bad_address", str(error)) from error
        await self.link.attempted(CONNECT_PATIENCE)
        return self.status(Nothing())

    @answers(ue5.STATUS)
    def status(self, request: Nothing) -> ue5.Status:
        status = ue5.Status(
            reason=self.reason if self.state != "running" else None,
            tracking=self.sender.targets,
            unknown=dict(self.outbox.unknown),
            not_finite=self.outbox.not_finite,
        )
        return status if self.watch is None else self.watch.described(status)

    @answers(ue5.PREFLIGHT)
    async def preflight(self, request: Nothing) -> ue5.Preflight:
        if self.watch is not None:
            with refusals():
                return await self.watch.check()
        found = decide(await look_from_outside(self.link.places[-1].address, self.link.passphrase))
        self.publish(ue5.PREFLIGHT_DONE, found)
        return found

    @answers(ue5.SPAWN)
    async def spawn(self, request: ue5.Spawn) -> ue5.Spawned:
        return await self._connected().spawn(request)

    @answers(ue5.REMOVE)
    async def remove(self, request: ue5.Remove) -> ue5.Spawned:
        return await self._connected().remove(request.label)

    @answers(ue5.SCREENSHOT)
    async def screenshot(self, request: ue5.Screenshot) -> ue5.Shot:
        return await self._connected().screenshot(request)

    @answers(ue5.EXPORT)
    async def export(self, request: Nothing) -> ue5.Exported:
        session = self._connected().session
        with refusals():
            await session.learn()
        return await self.exporter.export(session, DRAWING_PATIENCE)

    @answers(ue5.PROJECT)
    async def project(self, request: Nothing) -> ue5.Project:
        files = await asyncio.to_thread(write_project, self.artifacts / PROJECT)
        return ue5.Project(folder=PROJECT, files=files)

    async def _came(self, session: Session) -> None:
        """An engine answers. Raises RemoteError."""
        watch = Watch(session, self.outbox, self.exporter, self.publish, self._say)
        await watch.begin(self.cards, self.settings.hz)
        self.watch, self.rates = watch, self._promised
        self.commands = Commands(session, self.publish, self.artifacts)

    async def _went(self, session: Session, reason: str) -> None:
        self.watch = self.commands = None
        self.rates = {}
        self.publish(ue5.DISCONNECTED, ue5.Disconnected(engine=session.engine, reason=reason, seconds=session.lived))
        self._say("waiting", f"{session.engine} was lost: {reason}")
        if self.settings.export_at_end:
            self._spawn(self.exporter.export(session, DRAWING_PATIENCE))

    def _miss(self, reason: str) -> None:
        self._say("waiting", f"no engine ({reason}): start the embedded one by `bus run engine`; or {START}")

    async def _using(self, session: Session, asking: Coroutine[Any, Any, Any]) -> None:  # Any: what it returns is in the watch
        """Ask something of the engine. One that does not answer as it should is of no use any more."""
        try:
            await asking
        except Lost:
            return  # the session knows, and says why
        except RemoteError as error:
            session.lose(str(error))

    async def _track(self) -> None:
        """Send the poses that a target's rate has held back."""
        fastest = max(target.rate for target in self.settings.targets.asked.values())
        while True:
            await asyncio.sleep(1 / fastest)
            self.sender.tick()

    def _connected(self) -> Commands:
        if self.commands is None:
            raise CommandRefused("not_connected", f"there is no engine: {self.reason}")
        return self.commands

    def _nudge(self) -> None:
        if self.watch is not None:
            self.watch.session.nudge()

    def _say(self, state: AgentState, reason: str) -> None:
        """Say how it is once, not at each look."""
        if (state, reason) != (self.state, self.reason):
            self.set_state(state, reason)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:  # as above
        """Do something beside the handlers; what goes wrong in it is in the operator's log."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:  # as above
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("a task ended early", exc_info=error)
