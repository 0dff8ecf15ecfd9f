"""The loop that the overlay closes: a device's pose, the engine's cameras that follow it, and their pictures laid over each other."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from agents.parts.rigid import Rigid
from agents.xr.cameras.capture import Capture
from agents.xr.overlay.broadcast import Broadcast
from agents.xr.overlay.composer import Composed, Order
from agents.xr.overlay.drawing import save
from agents.xr.overlay.following import overlay_pose, stand_in_pose
from agents.xr.overlay.lens import BadCamera, enclosing_view
from agents.xr.overlay.overlay import Overlay
from agents.xr.timing.stages import Stages
from agents.xr.tracking.prediction import predicted
from agents.xr.tracking.tracker import Latest
from bus.topic import Topic
from schemas import engine, scene, system, ue5, xr
from schemas.cameras import Calibration, CameraModel
from schemas.xr import CAMERA, OVERLAY, Kind, OverlayState, SetOverlay

T = TypeVar("T")
Truth = Callable[[int], Rigid | None]
"""Where the device really is at a time (ns), where that is known: of a trajectory that plays."""

REMEMBERED = 300
"""Pictures of which it is remembered which pose they show, until a page says that it has shown them."""
KEPT_EVERY = 600.0
"""Seconds between two pictures of the error that are kept."""
STOP_SECONDS = 0.5


class Publish(Protocol):
    """An agent's `publish`, with bulk and a time of the event's own."""

    def __call__(self, topic: Topic[T], data: T, *, time: int | None = None, attachments: tuple[bytes, ...] = ()) -> str: ...


class Loop:
    """Works while it is on and its tracker is tracked. `stages` say how long poses take on their way; `broadcast` is for who looks on.

    `calibrations` are by the camera's number, null: the engine's stand-in. All of it belongs to the event loop.
    """

    def __init__(self, publish: Publish, artifacts: Path) -> None:
        self.stages = Stages()
        self.broadcast = Broadcast()
        self.order = SetOverlay()
        self.calibrations: dict[int | None, Calibration] = {}
        self.error: float | None = None
        self._publish = publish
        self._artifacts = artifacts
        self._numbers = itertools.count(1)
        self._overlay: Overlay | None = None
        self._capture: Capture | None = None
        self._kind: Kind | None = None
        self._drawn: engine.Intrinsics | None = None
        self._stand_in: engine.Intrinsics | None = None
        self._shows: OrderedDict[int, int] = OrderedDict()
        self._keep_after = 0.0
        self._keeping: asyncio.Task[None] | None = None

    async def set(self, order: SetOverlay) -> None:
        """Work as ordered from now on. Raises CameraError where there is no such camera."""
        await self.close()
        self.order, self._keep_after = order, 0.0
        if order.on and order.device is not None:
            capture = Capture(order.device)
            await asyncio.to_thread(capture.start)
            self._capture = capture

    async def close(self) -> None:
        """Compose nothing more, and let go of the camera."""
        await self._end()
        capture, self._capture = self._capture, None
        if capture is not None:
            await asyncio.to_thread(capture.close, STOP_SECONDS)
        if self._keeping is not None:
            await asyncio.wait([self._keeping], timeout=STOP_SECONDS)

    def follow(self, latest: Latest, truth: Truth | None) -> None:
        """The tracker's newest pose: have the engine's cameras be where it will be when they are drawn."""
        if not self.order.on:
            return
        self._kind = latest.source.kind
        ahead = self.stages.horizon
        place = predicted(latest.place, latest.motion, ahead)
        self._move_stand_in(place, latest.sampled + round(ahead * 1e9), truth)
        self._move_overlay(place, latest.sampled)

    async def want(self, is_tracked: bool) -> None:
        """Each second: ask for pictures while there is something to show, and begin or end."""
        if not (self.order.on and is_tracked):
            await self._end()
            return
        if self._overlay is None or self._overlay.order != self._wanted():
            await self._end()
            self._begin()
        cameras = [OVERLAY] if self._capture is not None else [CAMERA, OVERLAY]
        self._publish(scene.VIEW, scene.View(cameras=cameras, layers=[OVERLAY], rate=self.order.rate))

    def applied(self, said: ue5.Applied) -> None:
        if OVERLAY in said.cameras:
            self.stages.applied(said.cameras[OVERLAY], said.applied)

    def seen(self, seen: engine.Seen, files: tuple[bytes, ...]) -> None:
        """The engine's pictures of one frame."""
        for picture, data in zip(seen.pictures, files, strict=False):  # what lacks its file is no picture
            self._note(picture)
            if self._overlay is not None:
                self._overlay.put(picture, data)

    def shown(self, sequence: int, at: int, uncertainty: float) -> None:
        """A page has shown a picture of the overlay, give or take so many seconds: the latency's clock says them, too."""
        sampled = self._shows.pop(sequence, None)
        if sampled is not None:
            self.stages.shown(sampled, at)

    def state(self, url: str | None, is_calibrating: bool) -> OverlayState:
        return OverlayState(
            on=self.order.on,
            url=url,
            camera=self._wanted().camera if self.order.on else None,
            device=self.order.device,
            alpha=self.order.alpha,
            tracker=self.order.tracker,
            calibration=None if self._calibration is None else self._calibration.path,
            kind=self._kind,
            rate=self.order.rate if self._overlay is not None else None,
            error=self.error,
            reason=self._reason(is_calibrating),
        )

    @property
    def _calibration(self) -> Calibration | None:
        """Of the camera that the overlay is laid over."""
        return self.calibrations.get(self.order.device)

    def _begin(self) -> None:
        self._overlay = Overlay(self._wanted(), self._numbers, self._composed, self._capture)
        self._overlay.start()
        self.broadcast.begin()

    async def _end(self) -> None:
        overlay, self._overlay = self._overlay, None
        if overlay is None:
            return
        self.broadcast.end()
        self.error = None
        await asyncio.to_thread(overlay.stop, STOP_SECONDS)

    def _wanted(self) -> Order:
        is_real = self.order.device is not None
        camera = f"camera {self.order.device}" if is_real else "the engine's stand-in for a camera"
        return Order(camera=camera, kind=self._kind or "simulated", alpha=self.order.alpha, model=self._model())

    def _model(self) -> CameraModel | None:
        return None if self._calibration is None else self._calibration.camera

    def _move_stand_in(self, place: Rigid, when: int, truth: Truth | None) -> None:
        """To where the device truly is then, if that is known; else to where the overlay is, too."""
        if self._capture is not None:
            return
        known = truth(when) if truth is not None else None
        self._publish(scene.ACTOR_POSE, stand_in_pose(place if known is None else known))

    def _move_overlay(self, place: Rigid, sampled: int) -> None:
        mount = None if self._calibration is None else self._calibration.mount
        pose, now = overlay_pose(place, mount, self._field_of_view()), time.time_ns()
        self.stages.wished(now, sampled)
        if self._overlay is not None:
            self._overlay.poses.remember(Rigid(pose.position, pose.orientation), sampled, now)
        self._publish(scene.CAMERA_POSE, pose, time=now)

    def _field_of_view(self) -> float | None:
        """So wide that the layer has all that the camera sees; null until the engine has said how large its pictures are."""
        lens = self._stand_in if self._model() is None else None
        model = self._model() or (CameraModel(intrinsics=lens) if lens is not None else None)
        if model is None or self._drawn is None:
            return None
        try:
            return enclosing_view(model, self._drawn.width, self._drawn.height)
        except BadCamera:
            return None

    def _note(self, picture: engine.Picture) -> None:
        if picture.camera == CAMERA:
            self._stand_in = picture.intrinsics
        elif picture.camera == OVERLAY:
            self._drawn = picture.intrinsics

    def _composed(self, composed: Composed) -> None:
        said = composed.overlaid
        if said.sampled is not None:
            self.stages.drawn(said.sampled, said.drawn)
            self.stages.composed(said.sampled, said.composed)
            self._shows[said.sequence] = said.sampled
            while len(self._shows) > REMEMBERED:
                self._shows.popitem(last=False)
        self._publish(xr.OVERLAID, said, attachments=(composed.jpeg,))
        self.broadcast.put(said.sequence, composed.jpeg)
        if composed.measured is not None:
            self.error = said.error
            self._keep(composed)

    def _keep(self, composed: Composed) -> None:
        """Draw the error into overlay.png, now and then."""
        now = time.monotonic()
        if now >= self._keep_after:
            self._keep_after = now + KEPT_EVERY
            self._keeping = asyncio.ensure_future(self._save(composed))

    async def _save(self, composed: Composed) -> None:
        self._publish(system.ARTIFACT, await asyncio.to_thread(save, composed, self._artifacts))

    def _reason(self, is_calibrating: bool) -> str | None:
        if not self.order.on:
            return "it is off: bus call xr.overlay '{}' turns it on"
        if is_calibrating:
            return "the engine's stand-in is being calibrated: it goes on after that"
        if self._overlay is None:
            return f"{self.order.tracker} is not tracked"
        return self._overlay.reason
