"""The pose streamer: serves a page to headsets, publishes what they track, calibrates cameras, and lays the scene over their pictures."""

from __future__ import annotations

import asyncio
import time as clock
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from agents.parts.http.door import BadDoor
from agents.xr.calibrations import Calibrations
from agents.xr.cameras.capture import CameraError
from agents.xr.door.doors import Doors, NoLan
from agents.xr.door.metrics import Metric
from agents.xr.door.private import NotPrivate
from agents.xr.loop import Loop
from agents.xr.measured import measured, shown_by_top
from agents.xr.observation import Observation
from agents.xr.playing import Playing
from agents.xr.recording.recording import Recorder
from agents.xr.settings import XrSettings
from agents.xr.sources.address import parse_address
from agents.xr.sources.opentrackio import Receiver, receive
from agents.xr.sources.rows import BadTrajectory
from agents.xr.tracking.tracker import Tracker
from agents.xr.visits.visits import Visits
from bus.agent import Agent, Bus, answers, every, on
from bus.errors import CommandRefused
from bus.event import Event
from bus.lifecycle import AgentState
from bus.settings import BadSettings
from bus.topic import Nothing, Topic
from schemas import cameras, engine, scene, system, ue5, xr

T = TypeVar("T")

KEYS = Path("xr", "door")
"""Below `artifacts/`: certificate and keys of the door for headsets, 0700."""
TICK_SECONDS = 0.05
"""How often it is looked for devices that are lost."""


class Xr(Agent):
    """One tracker of everything that is tracked, whoever says where it is, and what is made of it."""

    stop_seconds = 2.0
    publishes = (
        xr.HEAD,
        xr.HAND_LEFT,
        xr.HAND_RIGHT,
        xr.CONTROLLER_LEFT,
        xr.CONTROLLER_RIGHT,
        xr.STARTED,
        xr.ENDED,
        xr.LOST,
        xr.FOUND,
        xr.LATENCY,
        cameras.PROGRESS,
        cameras.CALIBRATED,
        cameras.REFUSED,
        xr.RECORDED,
        xr.OVERLAID,
        scene.ACTOR_POSE,
        scene.CAMERA_POSE,
        scene.VIEW,
        system.ARTIFACT,
    )
    Settings = XrSettings
    settings: XrSettings

    def __init__(self, bus: Bus, settings: XrSettings, artifacts: Path) -> None:
        super().__init__(bus, settings, artifacts)
        self.tracker = Tracker(self._say)
        self.loop = Loop(self.publish, artifacts)
        self.visits = Visits(self.tracker, self.publish, self.loop.shown)
        self.playing = Playing(self.tracker, self.publish)
        self.recorder = Recorder(self.publish, artifacts)
        self.calibrations = Calibrations(self.publish, artifacts, self.tracker)
        self.latency: xr.Latency | None = None
        self.receiver: Receiver | None = None
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        self.versions = {"opencv-python-headless": version("opencv-python-headless"), "websockets": version("websockets")}
        self.loop.calibrations = await asyncio.to_thread(self.calibrations.stored)
        await self._open_doors()
        try:
            await self._hear_opentrackio()
        except BaseException:
            await self.doors.close()
            raise
        self._declare()
        self._show_state()

    async def stop(self) -> None:
        if self._transport is not None:
            self._transport.close()
        self.visits.end("the agent ends")
        await self.playing.stop("the agent ends")
        await asyncio.gather(self.doors.close(), self.calibrations.stop(), self.loop.close(), self.recorder.stop())

    @every(seconds=TICK_SECONDS)
    def look(self) -> None:
        self.visits.tick()
        self.tracker.tick()

    @every(seconds=1)
    async def want(self) -> None:
        if self.state == "stopping":
            return
        is_tracked = self.tracker.latest(self.loop.order.tracker) is not None
        await self.loop.want(is_tracked and not self.calibrations.moves_the_engine)

    @every(seconds=1)
    def measure(self) -> None:
        self.latency = self.loop.stages.close(clock.time_ns(), self.visits.clock())
        self.measures = {} if self.latency is None else shown_by_top(self.latency)
        if self.latency is not None:
            self.publish(xr.LATENCY, self.latency)
        self._show_state()

    @on(engine.SEEN)
    def see(self, event: Event[engine.Seen]) -> None:
        for picture, data in zip(event.data.pictures, event.attachments, strict=False):  # what lacks its file is no picture
            self.loop.seen(picture, data)
            self.calibrations.seen(picture, data)

    @on(ue5.APPLIED)
    def applied(self, event: Event[ue5.Applied]) -> None:
        self.loop.applied(event.data)

    @on(scene.ACTORS, last=True)
    def learn(self, event: Event[scene.Actors]) -> None:
        """Where the engine's board lies."""
        self.calibrations.learn(event.data)

    @answers(xr.STATUS)
    def status(self, request: Nothing) -> xr.Status:
        return xr.Status(
            page=self.doors.page,
            lan=self.doors.lan,
            fingerprint=self.doors.fingerprint,
            sessions=[*self.visits.sessions(), *self.playing.sessions()],
            tracked=self.tracker.rates(),
            latency=self.latency,
            overlay=self._overlay(),
            opentrackio=self.settings.opentrackio or None,
            refused=self._refused(),
        )

    @answers(xr.PAIR)
    async def pair(self, request: xr.Pair) -> xr.Pairing:
        try:
            pairing = await self.doors.pair(request.forget)
        except NoLan as error:
            raise CommandRefused("no_lan", str(error)) from error
        for line in ["scan this with the headset:", *pairing.qr]:  # on the terminal; it is good once, and for ten minutes
            self.log.info(line)
        return pairing

    @answers(cameras.CALIBRATE)
    async def calibrate(self, request: cameras.Calibrate) -> cameras.CalibrationBegun:
        return await self.calibrations.begin(request, self._calibrated)

    @answers(xr.RECENTER)
    def recenter(self, request: Nothing) -> xr.Recentred:
        recentred = self.tracker.recentre()
        if recentred is None:
            raise CommandRefused("not_tracked", f"the head is not tracked: {self._nobody()}")
        return recentred

    @answers(xr.RECORD)
    def record(self, request: xr.Record) -> xr.Recording:
        if self.tracker.latest(request.device) is None:
            raise CommandRefused("not_tracked", f"{request.device} is not tracked: {self._nobody()}")
        return self.recorder.begin(request)

    @answers(xr.REPLAY)
    async def replay(self, request: xr.Replay) -> xr.Replaying:
        try:
            return await self.playing.play(request)
        except BadTrajectory as error:
            raise CommandRefused("bad_trajectory", str(error)) from error

    @answers(xr.OVERLAY_SET)
    async def overlay(self, request: xr.SetOverlay) -> xr.OverlayState:
        try:
            await self.loop.set(request)
        except CameraError as error:
            raise CommandRefused("no_camera", str(error)) from error
        await self.want()
        return self._overlay()

    async def _open_doors(self) -> None:
        """Raises BadSettings."""
        self.doors = Doors(self.settings, self.artifacts / KEYS, self.visits.welcome, self.loop.broadcast.frames, self._metrics)
        try:
            await self.doors.open()
        except (BadDoor, NotPrivate) as error:
            await self.doors.close()
            raise BadSettings(f"xr.port, xr.lan: {error}") from error

    def _metrics(self) -> list[Metric]:
        return measured(self.latency, self.tracker.rates(), self.loop.error)

    async def _hear_opentrackio(self) -> None:
        """Raises BadSettings."""
        if not self.settings.opentrackio:
            return
        self.receiver = Receiver(self.settings.opentrackio_device, self._hear)
        try:
            self._transport = await receive(parse_address(self.settings.opentrackio), self.receiver)
        except OSError as error:
            raise BadSettings(f"xr.opentrackio: nothing can be received at {self.settings.opentrackio}: {error.strerror}") from error

    def _hear(self, seen: Observation) -> None:
        self.tracker.take(seen)

    def _declare(self) -> None:
        self.declare("poses", "real", f"WebXR from pages of {self.doors.page}; each session says itself whether a headset is behind it")
        if self.settings.opentrackio:
            self.declare("opentrackio", "real", f"received at {self.settings.opentrackio}")
        self.declare("overlay's camera", "simulated", "the engine's stand-in, until xr.overlay names a camera of this machine")

    def _say(self, topic: Topic[T], data: T, *, time: int | None = None) -> str:
        """What the tracker publishes. What is made of poses begins here."""
        said = self.publish(topic, data, time=time)
        if isinstance(data, xr.Pose) and time is not None:
            self._take(topic.name.removeprefix("xr.pose."), data, time)
        return said

    def _take(self, device: str, pose: xr.Pose, sampled: int) -> None:
        self.recorder.take(device, pose, sampled)
        tracker = self.loop.order.tracker
        latest = self.tracker.latest(tracker) if device == tracker else None
        if latest is None:
            return
        self.loop.stages.published(pose, sampled)
        if not self.calibrations.moves_the_engine:
            self.loop.follow(latest, self.playing.truth(latest.source))

    def _calibrated(self, calibration: cameras.Calibration) -> None:
        self.loop.calibrations[calibration.device] = calibration

    def _overlay(self) -> xr.OverlayState:
        return self.loop.state(f"{self.doors.page}/overlay", self.calibrations.moves_the_engine)

    def _refused(self) -> dict[str, int]:
        """By reason: messages of pages, poses of all sources, packets of OpenTrackIO."""
        refused = Counter[str](self.doors.refused)
        refused.update({str(verdict): count for verdict, count in self.tracker.refused.items()})
        refused.update(Counter[str]() if self.receiver is None else self.receiver.refused)
        return refused

    def _nobody(self) -> str:
        return f'open {self.doors.page} in its browser, or bus call xr.replay \'{{"trajectory": "desk"}}\''

    def _show_state(self) -> None:
        """Say how it is once, not at each look."""
        tracked = self.tracker.rates()
        state: AgentState = "running" if tracked else "waiting"
        reason = (
            f"{', '.join(sorted(tracked))} tracked; the overlay is at {self.doors.page}/overlay"
            if tracked
            else f"no headset: {self._nobody()}"
        )
        if (state, reason) != (self.state, self.reason):
            self.set_state(state, reason)
