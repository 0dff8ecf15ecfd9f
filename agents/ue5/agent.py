"""The bridge to Unreal Engine 5: moves what the bus moves, and says what the engine shows and how fast. It speaks Remote Control."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agents.ue5.commands import Commands, refusals
from agents.ue5.connection.discovery import BadAddress, parse_address
from agents.ue5.connection.link import Link
from agents.ue5.connection.session import Session
from agents.ue5.exports.saving import PROJECT, Exporter, snapshot
from agents.ue5.exports.snapshot import Snapshot
from agents.ue5.exports.writing import import_writers
from agents.ue5.measures.gpu import Cards
from agents.ue5.measures.load import open_cards
from agents.ue5.moving.outbox import Outbox, filmed, lit, placed
from agents.ue5.preflight.findings import decide
from agents.ue5.preflight.looking import look_around
from agents.ue5.project.writing import write_project
from agents.ue5.remote.wire import Lost, RemoteError
from agents.ue5.settings import Ue5Settings
from agents.ue5.tracking.sender import Sender
from agents.ue5.watch import Watch
from bus.agent import Agent, Bus, answers, every, on
from bus.errors import CommandRefused
from bus.event import Event
from bus.lifecycle import AgentState
from bus.topic import Nothing
from schemas import engine, scene, system, ue5

MOST_TOLD = 100
"""Labels without an actor that the status names: a reply has 64 KiB."""
CONNECT_PATIENCE = 3.0
"""Seconds after which `ue5.connect` says how it stands."""
DRAWING_SECONDS = 60.0
"""For the picture of an export: on a busy machine, at nice 10, with a cache of fonts to make."""
ASKED_SECONDS = 15.0
"""For the picture of an export that somebody waits for."""
LAST_SECONDS = 1.4
"""For an export when the agent ends."""


class Ue5(Agent):
    """Drives an engine that answers Remote Control: Unreal, or the embedded one, by the same requests."""

    stop_seconds = 2.0  # supervisors kill after 3, and what was published is to be on disk by then
    publishes = (
        scene.FRAME,
        scene.ACTORS,
        ue5.CONNECTED,
        ue5.DISCONNECTED,
        ue5.LATENCY,
        ue5.APPLIED,
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
        self.exporter = Exporter(self.publish, artifacts)
        self.watch: Watch | None = None
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
        """Let go of the engine, and export its scene if there is time for it."""
        watch, self.watch = self.watch, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if watch is not None:
            self._tell_end(watch.session, "the bridge ends")
        last = self._snapshot(watch) if watch is not None and self.settings.export_at_end else None
        await self.exporter.finish(last, LAST_SECONDS)
        self.sender.close()
        if isinstance(self.cards, Cards):
            self.cards.close()

    @on(scene.ACTOR_POSE)
    def move(self, event: Event[scene.ActorPoses]) -> None:
        for wanted in event.data.actors:
            self.outbox.put(wanted.actor, placed(wanted, event.time))
        self._nudge()

    @on(scene.CAMERA_POSE)
    def film(self, event: Event[scene.CameraPose]) -> None:
        self.outbox.put(event.data.camera, filmed(event.data, event.time))
        self._nudge()
        self.sender.send(event.data, event.time)

    @on(scene.LIGHT)
    def light(self, event: Event[scene.Light]) -> None:
        self.outbox.put(event.data.light, lit(event.data, event.time))
        self._nudge()

    @on(engine.SERVING, last=True)
    def hear(self, event: Event[engine.Serving]) -> None:
        self.link.hear(event.data)

    @on(engine.LOADED)
    async def reread(self, event: Event[engine.Scene]) -> None:
        """The embedded engine says when its level is another; Unreal does not."""
        if self.watch is not None and self.watch.session.embedded:
            await self._using(self.watch.session, self.watch.learn())

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
            unknown=dict(self.outbox.unknown.most_common(MOST_TOLD)),
            not_finite=self.outbox.not_finite,
        )
        return status if self.watch is None else self.watch.described(status)

    @answers(ue5.PREFLIGHT)
    async def preflight(self, request: Nothing) -> ue5.Preflight:
        """Of an Unreal, also where it is not used: for that there is a reason. Else of the engine that is."""
        if self.watch is not None and not self.watch.session.embedded:
            return await self._checked(self.watch)
        facts = await look_around(self.link.places, self.link.passphrase)
        if self.watch is not None and (facts.is_embedded or not facts.is_answered):
            return await self._checked(self.watch)
        found = decide(facts)
        self.publish(ue5.PREFLIGHT_DONE, found)
        return found

    @answers(ue5.SPAWN)
    async def spawn(self, request: ue5.Spawn) -> ue5.Spawned:
        return await self._commands().spawn(request)

    @answers(ue5.REMOVE)
    async def remove(self, request: ue5.Remove) -> ue5.Spawned:
        return await self._commands().remove(request.label)

    @answers(ue5.SCREENSHOT)
    async def screenshot(self, request: ue5.Screenshot) -> ue5.Shot:
        return await self._commands().screenshot(request)

    @answers(ue5.EXPORT)
    async def export(self, request: Nothing) -> ue5.Exported:
        watch = self._connected()
        with refusals():
            await watch.learn()
        return await self.exporter.export(self._snapshot(watch), ASKED_SECONDS)

    @answers(ue5.PROJECT)
    async def project(self, request: Nothing) -> ue5.Project:
        files = await asyncio.to_thread(write_project, self.artifacts / PROJECT)
        return ue5.Project(folder=PROJECT, files=files)

    async def _came(self, session: Session) -> None:
        """An engine answers. Raises RemoteError."""
        watch = Watch(session, self.outbox, self.publish, self._say)
        await watch.begin(self.cards, self.settings.hz)
        self.watch, self.rates = watch, self._promised
        if self.settings.export_at_end:
            self._spawn(asyncio.to_thread(import_writers))  # at the end there may be no time for that

    async def _went(self, session: Session, reason: str) -> None:
        watch, self.watch = self.watch, None
        self.rates = {}
        self._tell_end(session, reason)
        self._say("waiting", f"{session.engine} was lost: {reason}")
        if watch is not None and self.settings.export_at_end:
            self._spawn(self.exporter.export(self._snapshot(watch), DRAWING_SECONDS))

    def _tell_end(self, session: Session, reason: str) -> None:
        self.publish(ue5.DISCONNECTED, ue5.Disconnected(engine=session.engine, reason=reason, seconds=session.lived))

    def _snapshot(self, watch: Watch) -> Snapshot:
        return snapshot(watch.session, list(watch.metrics), self.settings.described)

    def _miss(self, reason: str) -> None:
        self._say("waiting", f"no engine ({reason}): `bus call ue5.preflight` says what mends it")

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

    async def _checked(self, watch: Watch) -> ue5.Preflight:
        with refusals():
            return await watch.check()

    def _commands(self) -> Commands:
        return Commands(self._connected().session, self.publish, self.artifacts)

    def _connected(self) -> Watch:
        if self.watch is None:
            raise CommandRefused("not_connected", f"there is no engine: {self.reason}")
        return self.watch

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
