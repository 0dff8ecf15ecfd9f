"""The embedded engine: shows a scene without a screen, under physics, and answers Unreal's Remote Control for it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from concurrent.futures import Future
from pathlib import Path

import msgspec

from agents.engine.backend import Backend
from agents.engine.engine import Engine
from agents.engine.remote.context import Context
from agents.engine.remote.remote import Remote
from agents.engine.remote.server import RemoteServer
from agents.engine.render.pipes import NoRenderer
from agents.engine.reports import Drawing, Options, RecordedFiles
from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.loading import Loaded, default, read_scene
from agents.engine.settings import EngineSettings
from agents.engine.world import World
from agents.parts.links import keep
from agents.parts.secret import read_secret
from bus.agent import Agent, Bus, answers
from bus.errors import CommandRefused
from bus.settings import BadSettings
from bus.topic import Nothing
from schemas import engine, system

START_SECONDS = 60.0
"""A driver that compiles for the first time is slow; one that hangs is given up."""
STOP_SECONDS = 0.4
"""For the engine, and for its server."""
SHOTS = Path("wondercraft", "bridge", "shots")
"""Where clients of Remote Control may have screenshots written, below `artifacts`."""
RECORDINGS = Path("wondercraft", "recordings")
"""Below `artifacts`, a folder for each."""


class EmbeddedEngine(Agent):
    """A scene for machines without Unreal, moved by the same messages."""

    name = "engine"
    publishes = (engine.SERVING, engine.FRAME, engine.PICTURE, engine.RECORDED, system.ARTIFACT)
    Settings = EngineSettings
    settings: EngineSettings

    def __init__(self, bus: Bus, settings: EngineSettings, artifacts: Path) -> None:
        super().__init__(bus, settings, artifacts)
        self.world = World()
        self.engine = Engine(self.world, _options(settings), self._say_frame, self._say_picture, self._fail)
        self.server: RemoteServer | None = None
        self.recording: Future[RecordedFiles] | None = None
        self.serving: engine.Serving | None = None
        self.drawing: Drawing | None = None
        self.frame: engine.Frame | None = None
        self.scene = default(0)
        self.shown = engine.Scene(scene="", actors=0, bodies=0)

    async def start(self) -> None:
        try:
            self.drawing = await asyncio.to_thread(self.engine.start, START_SECONDS)
        except NoRenderer as error:
            self.declare("pictures", "unavailable", str(error))
            self.set_state("unavailable", str(error))
            return
        self.versions = {"panda3d": self.drawing.version}
        await self._show_first()
        self.serving = await asyncio.to_thread(self._open_server, self.drawing)
        self.declare("pictures", "simulated", f"{engine.ENGINE}, drawn by {self.drawing.driver}")
        self.declare("remote control", "real", f"Unreal's Remote Control at {self.serving.http} and {self.serving.websocket}")
        self.publish(engine.SERVING, self.serving)
        self.set_state("running", f"{self.scene.name} by {self.drawing.driver}; Remote Control at {self.serving.http}")

    async def stop(self) -> None:
        if self.server is not None:
            await asyncio.to_thread(self.server.stop, STOP_SECONDS)
        await asyncio.to_thread(self.engine.stop, STOP_SECONDS)

    @answers(engine.STATUS)
    def status(self, request: Nothing) -> engine.Status:
        return engine.Status(
            serving=self._running(),
            scene=self.shown,
            paused=self.engine.paused,
            frame=self.frame,
            note=None if self.drawing is None else self.drawing.note,
        )

    @answers(engine.LOAD)
    async def load(self, request: engine.Load) -> engine.Scene:
        self._running()
        try:
            loaded = await asyncio.to_thread(_read, request.path, request.bodies)
            return await self._show(loaded)
        except BadScene as error:
            raise CommandRefused("bad_scene", str(error)) from error

    @answers(engine.RESET)
    async def reset(self, request: Nothing) -> engine.Scene:
        """As it was when it was loaded."""
        self._running()
        return await self._show(self.scene)

    @answers(engine.STEP)
    async def step(self, request: engine.Step) -> engine.Stepped:
        self._running()
        frame, time = await asyncio.wrap_future(self.engine.step(request.frames))
        return engine.Stepped(frame=frame, time=time)

    @answers(engine.RESUME)
    async def resume(self, request: Nothing) -> engine.Stepped:
        self._running()
        frame, time = await asyncio.wrap_future(self.engine.resume())
        return engine.Stepped(frame=frame, time=time)

    @answers(engine.RECORD)
    def record(self, request: engine.Record) -> engine.Recording:
        self._running()
        if self.world.labelled(request.camera) is None:
            raise CommandRefused("no_such_camera", f"there is no camera {request.camera!r} in {self.scene.name}")
        if self.recording is not None and not self.recording.done():
            raise CommandRefused("busy", "a recording is being made: wait for its engine.recorded")
        folder = self.artifacts / RECORDINGS / f"{time.time_ns()}-{self.world.scene}"
        folder.mkdir(parents=True)
        self.recording = self.engine.record(request.camera, request.seconds, folder)
        self.recording.add_done_callback(lambda done: self._keep(request, done))
        return engine.Recording(camera=request.camera, seconds=request.seconds)

    def _running(self) -> engine.Serving:
        """Raises CommandRefused."""
        if self.serving is None:
            raise CommandRefused("unavailable", self.reason or "the engine is not up yet")
        return self.serving

    async def _show_first(self) -> None:
        """Raises BadSettings."""
        try:
            await self._show(await asyncio.to_thread(_read, self.settings.scene, self.settings.bodies))
        except BadScene as error:
            raise BadSettings(f"engine.scene: {error}") from error

    async def _show(self, loaded: Loaded) -> engine.Scene:
        """Raises BadScene."""
        self.shown = await asyncio.wrap_future(self.engine.load(loaded))
        self.scene = loaded
        return self.shown

    def _open_server(self, drawing: Drawing) -> engine.Serving:
        settings, shots = self.settings, self.artifacts / SHOTS
        shots.mkdir(parents=True, exist_ok=True)
        secret = settings.passphrase_file
        passphrase = None if secret is None else read_secret("engine.passphrase_file", Path(secret))
        remote = Remote(Context(self.world, Backend(self.engine, drawing.version), shots))
        self.server = RemoteServer(remote, settings.host, settings.http_port, settings.websocket_port, passphrase)
        addresses = self.server.start()
        return engine.Serving(
            engine=engine.ENGINE,
            version=drawing.version,
            renderer=drawing.renderer,
            driver=drawing.driver,
            http=addresses.http,
            websocket=addresses.websocket,
        )

    def _say_frame(self, frame: engine.Frame) -> None:
        self.frame = frame
        self.publish(engine.FRAME, frame)

    def _say_picture(self, picture: engine.Picture, jpeg: bytes) -> None:
        self.publish(engine.PICTURE, picture, attachments=(jpeg,))

    def _keep(self, request: engine.Record, done: Future[RecordedFiles]) -> None:
        """A recording is over."""
        try:
            files = done.result()
            video, poses = (keep(self.artifacts, file, kind) for file, kind in ((files.video, "video"), (files.poses, "camera-poses")))
        except Exception as error:  # it comes out of the future, and who asked has its answer already
            self.publish(engine.RECORDED, _recorded(request, reason=f"{type(error).__name__}: {error}"))
            return
        for artifact in (video, poses):
            self.publish(system.ARTIFACT, artifact)
        folder = files.video.parent.relative_to(self.artifacts).as_posix()
        self.publish(engine.RECORDED, _recorded(request, frames=files.frames, video=video.hash, poses=poses.hash, path=folder))

    def _fail(self, error: Exception) -> None:
        """The engine has ended by itself. The agent ends, too, and its supervisor starts it again."""
        self.set_state("degraded", f"the engine has ended: {type(error).__name__}: {error}")
        os.kill(os.getpid(), signal.SIGTERM)


def _options(settings: EngineSettings) -> Options:
    return Options(
        renderer=settings.renderer,
        width=settings.width,
        height=settings.height,
        hz=settings.hz,
        cameras=settings.shown,
        picture_hz=settings.picture_hz,
    )


def _read(path: str | None, bodies: int) -> Loaded:
    """Raises BadScene."""
    return default(bodies) if path is None else read_scene(Path(path).expanduser())


def _recorded(request: engine.Record, *, frames: int = 0, **said: str) -> engine.Recorded:
    found = {"engine": engine.ENGINE, "camera": request.camera, "frames": frames, "seconds": request.seconds, **said}
    return msgspec.convert(found, engine.Recorded)
