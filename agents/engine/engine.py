"""The embedded engine: one thread that owns all of Panda3D and goes through a frame at a time, and what others may ask of it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path

import structlog

from agents.engine.clock import Clock, Moment
from agents.engine.orders import Ended, Orders
from agents.engine.pictures import Pictures
from agents.engine.render.film import Film
from agents.engine.render.pipes import NoRenderer, choose
from agents.engine.render.studio import Studio
from agents.engine.reports import Drawing, Options, RecordedFiles
from agents.engine.scenes.loading import Loaded
from agents.engine.tally import Tally
from agents.engine.views import Views
from agents.engine.world import Box, World
from schemas.engine import Frame, Picture, Scene, Seen
from schemas.scene import View

SWITCH_SECONDS = 0.0005
"""How long a thread may keep Python's lock when another one wants it. With the default, 5 ms, a flood of requests on the server's thread
starves the engine: each of the many calls of a frame has to win the lock again."""
LARGEST = 4096
"""Pixels of a screenshot's edge."""

_log = structlog.get_logger()


class Busy(RuntimeError):
    """One recording at a time."""


class Engine:
    """Shows a world. `on_frame` hears once a second how fast, `on_picture` gets the JPEGs of the chosen cameras, `on_seen` the files of
    what somebody wants to see, and `on_failed` hears why it ended by itself; all four on the engine's thread. Futures are answered there
    too. One engine is at work in a process.

    `boxes` are those around the meshes of the scene, by path: replaced as a whole, so that any thread may look at them. `bodies` were
    there in the last frame.
    """

    def __init__(
        self,
        world: World,
        options: Options,
        on_frame: Callable[[Frame], None],
        on_picture: Callable[[Picture, bytes], None],
        on_seen: Callable[[Seen, tuple[bytes, ...]], None],
        on_failed: Callable[[Exception], None],
    ) -> None:
        self.boxes: dict[str, Box] = {}
        self.bodies = 0
        self._world = world
        self._options = options
        self._on_frame = on_frame
        self._on_failed = on_failed
        self._pictures = Pictures(options, on_picture)
        self._views = Views(options.hz, on_seen)
        self._clock = Clock(world, options.hz)
        self._film: Film | None = None
        self._drawing: Future[Drawing] = Future()
        self._stopping = threading.Event()
        self._orders = Orders(self._stopping)
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self, timeout: float) -> Drawing:
        """Draw the first frame. Raises NoRenderer, also where that takes longer than `timeout` seconds, or `stop` is called meanwhile."""
        self._thread.start()
        try:
            return self._drawing.result(timeout)
        except TimeoutError:
            self._stopping.set()
            raise NoRenderer(f"the engine drew nothing in {timeout:g} s") from None

    def stop(self, timeout: float) -> None:
        """End it: what is asked of it fails from then on, and a recording ends with what it has."""
        self._stopping.set()
        self._thread.join(timeout)
        if self._thread.is_alive():
            _log.error("the engine's thread did not end", seconds=timeout)

    @property
    def paused(self) -> bool:
        """Whether physics waits for `step` or `resume`."""
        return self._clock.paused

    def load(self, scene: Loaded) -> Future[Scene]:
        """Show another scene."""
        return self._orders.ask(lambda studio: self._load(studio, scene), long=True)

    def step(self, frames: int) -> Future[Moment]:
        """Stop physics, and let it go on by so many steps of 1/60 s."""
        return self._orders.ask_later(lambda _, done: self._clock.order(frames, done))

    def resume(self) -> Future[Moment]:
        """Let physics go with the time again."""
        return self._orders.ask(lambda _: self._clock.resume())

    def screenshot(self, camera_label: str | None, width: int, height: int) -> Future[bytes]:
        """A PNG of what a camera sees; null: the main one. Raises ValueError for its size; NoSuchCamera comes out of the future."""
        if not (0 < width <= LARGEST and 0 < height <= LARGEST):
            raise ValueError(f"a screenshot of {width}x{height} pixels: want 1 to {LARGEST} each way")
        return self._orders.ask(lambda studio: studio.screenshot(camera_label, width, height), long=True)

    def want(self, source: str, view: View) -> None:
        """Show a view for a while, instead of the one that this source wanted before."""
        self._orders.ask(lambda _: self._views.want(source, view, time.monotonic()))

    def record(self, camera_label: str, seconds: float, folder: Path) -> Future[RecordedFiles]:
        """Film a camera into a folder, for as many frames as that time has. NoSuchCamera, Busy and OSError come out of the future."""

        def begin(studio: Studio, files: Future[RecordedFiles]) -> None:
            self._begin_film(studio, Film(camera_label, seconds, self._options.hz, folder, files))

        return self._orders.ask_later(begin)

    def _load(self, studio: Studio, scene: Loaded) -> Scene:
        shown = studio.load(scene)
        self.boxes, self.bodies = studio.boxes, studio.physics.bodies
        return shown

    def _begin_film(self, studio: Studio, film: Film) -> None:
        if self._film is not None:
            raise Busy("a recording is being made: wait for its end")
        film.start(studio)
        self._film = film

    def _run(self) -> None:
        reason = Ended("the engine has stopped")
        try:
            with _switching_often(), closing(self._open()) as studio:
                self._show(studio)
        except Exception as error:  # whatever it is, who started the engine has to hear of it
            reason = Ended(f"the engine has failed: {error!r}")
            self._fail(error)
        finally:
            self._leave(reason)

    def _open(self) -> Studio:
        return Studio(self._world, choose(self._options.renderer, self._stopping), self._options.width, self._options.height)

    def _show(self, studio: Studio) -> None:
        """Frame after frame, in a rhythm that leaves out what it misses: an engine that is late never has to catch up."""
        studio.draw()
        self._drawing.set_result(studio.drawing)
        period, due = 1 / self._options.hz, time.monotonic()
        tally = Tally(self._world, due)
        while not self._stopping.wait(due - time.monotonic()):
            due = max(due + period, time.monotonic())
            self._frame(studio, tally, due)
            if tally.is_due(time.monotonic()):
                physics = studio.physics
                self._on_frame(tally.close(time.monotonic(), studio.draw_calls(), physics.bodies, physics.awake))

    def _frame(self, studio: Studio, tally: Tally, until: float) -> None:
        began = time.perf_counter()
        self._orders.obey(studio)
        studio.stage.take_over()
        self.bodies = studio.physics.bodies
        self._clock.advance(studio.physics.step, until)
        self._world.frame += 1
        drawing = time.perf_counter()
        self._views.take(studio, time.monotonic())  # first: who wants them counts every millisecond since their cameras were moved
        studio.draw()
        drawn = time.perf_counter() - drawing
        self._pictures.take(studio, time.monotonic())
        if self._film is not None and not self._film.roll(studio, self._world.time):
            self._film = None
        tally.add(time.perf_counter() - began, drawn)

    def _fail(self, error: Exception) -> None:
        if self._drawing.done():
            _log.error("the engine has failed", exc_info=error)
            self._on_failed(error)
        else:
            self._drawing.set_exception(error)

    def _leave(self, reason: Ended) -> None:
        self._orders.end(reason)
        self._clock.abandon(reason)
        if self._film is not None:
            self._film.end()


@contextmanager
def _switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
