"""The embedded engine: shows a scene without a screen, under physics, and answers Unreal's Remote Control for it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from agents.engine.backend import EngineBackend
from agents.engine.engine import Engine
from agents.engine.remote.context import Context
from agents.engine.remote.remote import Remote
from agents.engine.remote.server import RemoteServer
from agents.engine.render.pipes import NoRenderer
from agents.engine.reports import Drawing, Options, RecordedFiles
from agents.engine.scenes.errors import BadScene
from agents.engine.scenes.loading import Loaded, default, find_scene
from agents.engine.settings import EngineSettings
from agents.engine.watch import STILL_SECONDS, Watch
from agents.engine.world import World
from agents.parts.http.door import BadDoor
from agents.parts.links import keep
from agents.parts.secret import read_secret
from bus.agent import Agent, Bus, answers, every, on
from bus.errors import BusFull, CommandRefused
from bus.event import Event
from bus.settings import BadSettings
from bus.topic import Nothing
from schemas import engine, scene, system

START_SECONDS = 60.0
"""A driver that compiles for the first time is slow; one that hangs is given up."""
END_SECONDS, KEEP_SECONDS = 1.0, 0.8
"""What the engine and its server may take to end, side by side, and then a recording to be kept: together less than `stop_seconds`."""
LOAD_SECONDS, ANSWER_SECONDS = 120.0, 10.0
"""After which who asks the engine is told that it does not answer: to show a scene, and else."""
STEP_SECONDS = 0.1
"""What a step of physics may take."""
SHOTS = Path("wondercraft", "bridge", "shots")
"""Where clients of Remote Control may have screenshots written, below `artifacts`."""
RECORDINGS = Path("wondercraft", "recordings")
"""Below `artifacts`, a folder for each."""

T = TypeVar("T")


class EmbeddedEngine(Agent):
    """A scene for machines without Unreal, moved by the same messages."""

    name = "engine"
    stop_seconds = 2.0
    publishes = (engine.SERVING, engine.LOADED, engine.FRAME, engine.PICTURE, engine.SEEN, engine.RECORDED, system.ARTIFACT)
    Settings = EngineSettings
    settings: EngineSettings

    def __init__(self, bus: Bus, settings: EngineSettings, artifacts: Path) -> None:
        super().__init__(bus, settings, artifacts)
        self.world = World()
        self.engine = Engine(self.world, _options(settings), self._say_frame, self._say_picture, self._say_seen, self._fail)
        self.server: RemoteServer | None = None
        self.recording: asyncio.Task[None] | None = None
        self.watch = Watch()
        self.trouble: str | None = None
        self.serving: engine.Serving | None = None
        self.drawing: Drawing | None = None
        self.frame: engine.Frame | None = None
        self.scene = default(0)

    async def start(self) -> None:
        try:
            self.drawing = await asyncio.to_thread(self.engine.start, START_SECONDS)
        except asyncio.CancelledError:
            self.engine.stop(0)  # or its thread would go on trying
            raise
        except NoRenderer as error:
            self.declare("pictures", "unavailable", str(error))
            self.set_state("unavailable", str(error))
            return
        try:
            await self._open(self.drawing)
        except BaseException:  # also where it is told to stop meanwhile: nobody is to hear of frames any more
            await asyncio.to_thread(self.engine.stop, END_SECONDS)
            raise

    async def stop(self) -> None:
        """A recording ends with what it has, and is kept."""
        ending = [asyncio.to_thread(self.engine.stop, END_SECONDS)]
        if self.server is not None:
            ending.append(asyncio.to_thread(self.server.stop, END_SECONDS))
        await asyncio.gather(*ending)
        if self.recording is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.recording, KEEP_SECONDS)

    @every(seconds=2)
    def look(self) -> None:
        """Say when the engine or its server does nothing any more, and when it does again."""
        if self.server is None or self.state == "stopping":
            return
        trouble = None
        if self.watch.stands_still(self.world.frame, time.monotonic()):
            trouble = f"no frame was drawn for {STILL_SECONDS:g} s"
        elif not self.server.is_answering:
            trouble = "the server of Remote Control has ended"
        if trouble != self.trouble:
            self._say_trouble(trouble)

    @on(scene.VIEW)
    def want(self, event: Event[scene.View]) -> None:
        self.engine.want(event.source, event.data)

    @answers(engine.STATUS)
    def status(self, request: Nothing) -> engine.Status:
        return engine.Status(
            serving=self._running(),
            scene=engine.Scene(scene=self.world.scene, actors=len(self.world.actors), bodies=self.engine.bodies),
            paused=self.engine.paused,
            frame=self.frame,
            note=None if self.drawing is None else self.drawing.note,
        )

    @answers(engine.LOAD)
    async def load(self, request: engine.Load) -> engine.Scene:
        self._running()
        try:
            loaded = await asyncio.to_thread(find_scene, request.path, request.bodies)
        except BadScene as error:
            raise CommandRefused("bad_scene", str(error)) from error
        return await self._show(loaded)

    @answers(engine.RESET)
    async def reset(self, request: Nothing) -> engine.Scene:
        """As it was when it was loaded."""
        self._running()
        return await self._show(self.scene)

    @answers(engine.STEP)
    async def step(self, request: engine.Step) -> engine.Stepped:
        self._running()
        frame, time = await _answered(self.engine.step(request.frames), ANSWER_SECONDS + STEP_SECONDS * request.frames)
        return engine.Stepped(frame=frame, time=time)

    @answers(engine.RESUME)
    async def resume(self, request: Nothing) -> engine.Stepped:
        self._running()
        frame, time = await _answered(self.engine.resume(), ANSWER_SECONDS)
        return engine.Stepped(frame=frame, time=time)

    @answers(engine.RECORD)
    async def record(self, request: engine.Record) -> engine.Recording:
        self._running()
        camera = self.world.labelled(request.camera)
        if camera is None or camera.looks.optics is None:
            raise CommandRefused("no_such_camera", f"there is no camera {request.camera!r} in {self.scene.name}")
        if self.recording is not None and not self.recording.done():
            raise CommandRefused("busy", "a recording is being made: wait for its engine.recorded")
        folder = self.artifacts / RECORDINGS / f"{time.time_ns()}-{self.world.scene}"
        folder.mkdir(parents=True)
        files = self.engine.record(request.camera, request.seconds, folder)
        self.recording = asyncio.create_task(self._keep(request, asyncio.wrap_future(files)))
        return engine.Recording(camera=request.camera, seconds=request.seconds)

    def _running(self) -> engine.Serving:
        """Raises CommandRefused."""
        if self.serving is None:
            raise CommandRefused("unavailable", self.reason or "the engine is not up yet")
        return self.serving

    async def _open(self, drawing: Drawing) -> None:
        """Show the first scene, and serve it. Raises BadSettings, CommandRefused."""
        self.versions = {"panda3d": drawing.version}
        await self._show_first()
        self.serving = await asyncio.to_thread(self._open_server, drawing)
        self.declare("pictures", "simulated", f"{engine.ENGINE}, drawn by {drawing.driver}")
        self.declare("remote control", "real", f"Unreal's Remote Control at {self.serving.http} and {self.serving.websocket}")
        self.publish(engine.SERVING, self.serving)
        self._say_trouble(None)

    async def _show_first(self) -> None:
        """Raises BadSettings."""
        try:
            loaded = await asyncio.to_thread(find_scene, self.settings.scene, self.settings.bodies)
        except BadScene as error:
            raise BadSettings(f"engine.scene: {error}") from error
        await self._show(loaded)

    async def _show(self, loaded: Loaded) -> engine.Scene:
        """Raises CommandRefused."""
        shown = await _answered(self.engine.load(loaded), LOAD_SECONDS)
        self.scene = loaded
        self.publish(engine.LOADED, shown)
        return shown

    def _open_server(self, drawing: Drawing) -> engine.Serving:
        """Raises BadSettings."""
        settings, shots = self.settings, self.artifacts / SHOTS
        shots.mkdir(parents=True, exist_ok=True)
        secret = settings.passphrase_file
        passphrase = None if secret is None else read_secret("engine.passphrase_file", Path(secret))
        remote = Remote(Context(self.world, EngineBackend(self.engine, drawing.version), shots))
        self.server = RemoteServer(remote, settings.host, settings.http_port, settings.websocket_port, passphrase)
        try:
            addresses = self.server.start()
        except BadDoor as error:
            raise BadSettings(f"engine.host, engine.passphrase_file: {error}") from error
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
        with suppress(BusFull):  # the engine goes on without a recorder too
            self.publish(engine.FRAME, frame)

    def _say_picture(self, picture: engine.Picture, jpeg: bytes) -> None:
        self.publish(engine.PICTURE, picture, attachments=(jpeg,))

    def _say_seen(self, seen: engine.Seen, files: tuple[bytes, ...]) -> None:
        self.publish(engine.SEEN, seen, attachments=files)

    async def _keep(self, request: engine.Record, recorded: asyncio.Future[RecordedFiles]) -> None:
        """Put a recording into the store once it is over, and say so."""
        try:
            files = await recorded
            video, poses = await asyncio.to_thread(self._store, files)
        except Exception as error:  # it comes out of the future, and who asked has its answer already
            self.publish(engine.RECORDED, _recorded(request, reason=f"{type(error).__name__}: {error}"))
            return
        for artifact in (video, poses):
            self.publish(system.ARTIFACT, artifact)
        folder = files.video.parent.relative_to(self.artifacts).as_posix()
        self.publish(engine.RECORDED, _recorded(request, frames=files.frames, video=video.hash, poses=poses.hash, path=folder))

    def _store(self, files: RecordedFiles) -> tuple[system.Artifact, system.Artifact]:
        """Raises OSError."""
        return keep(self.artifacts, files.video, "video"), keep(self.artifacts, files.poses, "camera-poses")

    def _say_trouble(self, trouble: str | None) -> None:
        """None: all is well."""
        self.trouble, serving = trouble, self._running()
        well = f"{self.scene.name} by {serving.driver}; Remote Control at {serving.http}"
        self.set_state("degraded" if trouble else "running", trouble or well)

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


async def _answered(asked: Future[T], seconds: float) -> T:
    """What the engine's thread says. Raises CommandRefused, and what comes out of the future."""
    try:
        return await asyncio.wait_for(asyncio.wrap_future(asked), seconds)
    except TimeoutError:
        raise CommandRefused("timeout", f"the engine has not answered in {seconds:g} s") from None


def _recorded(request: engine.Record, *, frames: int = 0, **said: str) -> engine.Recorded:
    found = {"engine": engine.ENGINE, "camera": request.camera, "frames": frames, "seconds": request.seconds, **said}
    return msgspec.convert(found, engine.Recorded)
