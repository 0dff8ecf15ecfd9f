"""Makes an overlay's picture of a camera's and a layer, and measures some of them: all that takes time, and no threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
from msgspec import Struct

from agents.xr.cameras.pixels import Pixels
from agents.xr.overlay import decoding
from agents.xr.overlay.blending import laid_over, seen_through
from agents.xr.overlay.decoding import BadPicture
from agents.xr.overlay.lens import maps
from agents.xr.overlay.matching import Drawn
from agents.xr.overlay.measuring import Measured, measured
from schemas.cameras import CameraModel
from schemas.xr import Kind, Overlaid

JPEG_QUALITY = 85
MEASURED_EVERY = 1.0
"""Seconds."""


class Order(Struct, frozen=True, kw_only=True):
    """What is laid over what. `camera` is what the camera is called, `kind` what the poses are. `model` null: the camera is the engine's
    stand-in as it is said to be with each picture, without distortion.
    """

    camera: str
    kind: Kind
    alpha: float
    model: CameraModel | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A camera's picture, of the engine or another one's pixels, and the layer for it, whose pose was `sampled` (ns)."""

    sequence: int
    camera: Drawn | Pixels
    layer: Drawn
    sampled: int | None


@dataclass(frozen=True, slots=True)
class Composed:
    """The event, its JPEG, and what that shows. `measured` null: it was not looked at, or too little of the board is seen."""

    overlaid: Overlaid
    jpeg: bytes
    pixels: Pixels
    measured: Measured | None


class Composer:
    """Composes one picture after the other. `now` is a monotonic time in seconds."""

    def __init__(self, order: Order, now: Callable[[], float] = time.monotonic) -> None:
        self._order = order
        self._now = now
        self._due = now()

    def compose(self, job: Job) -> Composed:
        """Raises BadPicture, for this one alone: the next may be better."""
        placed = job.layer.picture.placed
        if placed is None:
            raise BadPicture(f"the engine's picture of {job.layer.picture.camera!r} does not say when it was drawn")
        picture, model = self._camera(job.camera)
        seen = seen_through(decoding.layer(job.layer), maps(model, job.layer.picture.intrinsics))
        found = measured(picture, seen) if self._is_due() else None
        pixels = laid_over(picture, seen, self._order.alpha)
        jpeg = _jpeg(pixels)
        return Composed(self._event(job, placed, pixels, found), jpeg, pixels, found)

    def _camera(self, camera: Drawn | Pixels) -> tuple[Pixels, CameraModel]:
        """The camera's picture, and the model that it is seen by."""
        if isinstance(camera, Drawn):
            picture, model = decoding.colours(camera), self._order.model or CameraModel(intrinsics=camera.picture.intrinsics)
        elif self._order.model is None:
            raise BadPicture(f"{self._order.camera} is not calibrated: calibrate it with xr.calibrate")
        else:
            picture, model = camera, self._order.model
        wanted = (model.intrinsics.height, model.intrinsics.width)
        if picture.shape[:2] != wanted:
            sizes = f"{picture.shape[1]}x{picture.shape[0]} pixels, and was calibrated with {wanted[1]}x{wanted[0]}"
            raise BadPicture(f"{self._order.camera} has {sizes}: calibrate it again with xr.calibrate")
        return picture, model

    def _is_due(self) -> bool:
        if self._now() < self._due:
            return False
        self._due = self._now() + MEASURED_EVERY
        return True

    def _event(self, job: Job, placed: int, pixels: Pixels, found: Measured | None) -> Overlaid:
        return Overlaid(
            sequence=job.sequence,
            camera=self._order.camera,
            kind=self._order.kind,
            alpha=self._order.alpha,
            width=pixels.shape[1],
            height=pixels.shape[0],
            sampled=job.sampled,
            drawn=placed,
            composed=time.time_ns(),
            error=None if found is None else found.error,
            corners=0 if found is None else len(found.numbers),
        )


def _jpeg(pixels: Pixels) -> bytes:
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise BadPicture(f"OpenCV makes no JPEG of {pixels.shape[1]}x{pixels.shape[0]} pixels")
    return data.tobytes()
