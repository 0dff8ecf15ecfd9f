"""The overlay while it is on: pictures of the engine come in, composed ones go out, and one thread works on the newest of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import structlog

from agents.xr.cameras.capture import CameraError, Capture
from agents.xr.cameras.pixels import Pixels
from agents.xr.overlay.composer import Composed, Composer, Job, Order
from agents.xr.overlay.decoding import BadPicture
from agents.xr.overlay.matching import Drawn, Layers, Pairs, Poses
from agents.xr.overlay.newest import Newest
from schemas.engine import Picture

_log = structlog.get_logger()


class Overlay:
    """One overlay, from being turned on to being turned off. `camera` null: the engine's stand-in is the camera.

    `on_composed` gets each picture on the event loop; `numbers` gives their sequences. `poses` are those that the layer's camera was given.
    `reason` is why the last picture could not be made; null: it was.
    """

    def __init__(
        self,
        order: Order,
        numbers: Iterator[int],
        on_composed: Callable[[Composed], None],
        camera: Capture | None = None,
    ) -> None:
        self.order = order
        self.poses = Poses()
        self.reason: str | None = None
        self._composer = Composer(order)
        self._numbers = numbers
        self._on_composed = on_composed
        self._camera = camera
        self._taken_ns = 0
        self._pairs, self._layers = Pairs(), Layers()
        self._jobs: Newest[Job] = Newest()
        self._thread = threading.Thread(target=self._work, name="overlay", daemon=True)
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Compose nothing more. Waits for the picture that is being made: off the event loop."""
        self._jobs.close()
        self._thread.join(seconds)
        if self._thread.is_alive():
            _log.error("the overlay's thread did not end", seconds=seconds)

    def put(self, picture: Picture, data: bytes) -> None:
        """A picture of any of the engine's cameras has come."""
        job = self._job(Drawn(picture, data))
        if job is not None:
            self._jobs.put(job)

    def _job(self, drawn: Drawn) -> Job | None:
        """What there is to compose now."""
        if self._camera is not None:
            return self._real_job(self._camera, drawn)
        pair = self._pairs.put(drawn)
        return None if pair is None else self._of(*pair)

    def _real_job(self, camera: Capture, drawn: Drawn) -> Job | None:
        self._layers.put(drawn)
        try:
            frame = camera.latest()
        except CameraError as error:
            self._refuse(error)
            return None
        if frame is None or frame.taken_ns == self._taken_ns:
            return None
        layer = self._layers.nearest(frame.taken_ns)
        if layer is None:
            return None
        self._taken_ns = frame.taken_ns
        return self._of(frame.picture, layer)

    def _of(self, camera: Drawn | Pixels, layer: Drawn) -> Job:
        return Job(next(self._numbers), camera, layer, self.poses.sampled(layer.picture))

    def _work(self) -> None:
        while (job := self._jobs.take()) is not None:
            try:
                composed = self._composer.compose(job)
            except Exception as error:  # whatever it is, the next picture may be better, and who asks is to hear why there is none
                self._refuse(error)
                continue
            self.reason = None
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                self._loop.call_soon_threadsafe(self._on_composed, composed)

    def _refuse(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, BadPicture | CameraError) else f"{type(error).__name__}: {error}"
        if reason != self.reason:
            _log.warning("an overlay's picture could not be made", reason=reason)
        self.reason = reason
