"""The loop that the overlay closes: a device's pose, the engine's cameras that follow it, and their pictures laid over each other."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path
from typing import Protocol, TypeVar

from agents.parts.rigid import Rigid
from agents.xr.cameras.capture import Capture
from agents.xr.cameras.opening import opened
from agents.xr.keeping import Keeping
from agents.xr.overlay.broadcast import Broadcast
from agents.xr.overlay.composer import Composed, Order
from agents.xr.overlay.following import STAND_IN, overlay_pose, stand_in_pose
from agents.xr.overlay.overlay import Overlay
from agents.xr.overlay.view import EngineView
from agents.xr.playing import Truth
from agents.xr.shown import Recent, Shown
from agents.xr.timing.stages import Stages
from agents.xr.tracking.prediction import predicted
from agents.xr.tracking.tracker import Latest
from bus.topic import Topic
from schemas import engine, scene, ue5, xr
from schemas.cameras import Calibration
from schemas.xr import CAMERA, OVERLAY, Kind, OverlayState, SetOverlay

T = TypeVar("T")

WATCHED_RATE, UNWATCHED_RATE = 30.0, 2.0
STOP_SECONDS = 0.5


class Publish(Protocol):
    """An agent's `publish`, with bulk and a time of the event's own."""

    def __call__(self, topic: Topic[T], data: T, *, time: int | None = None, attachments: tuple[bytes, ...] = ()) -> str: ...


class Loop:
    """Works while it is on and its tracker is tracked. `stages` say how long poses take on their way; `broadcast` is for who looks on.

    `calibrations` are by the camera's number, null: the engine's stand-in. All of it belongs to the event loop, and `_lock` lets one
    caller at a time begin and end.
    """

    def __init__(self, publish: Publish, artifacts: Path) -> None:
        self.stages = Stages()
        self.broadcast = Broadcast()
        self.order = SetOverlay()
        self.calibrations: dict[int | None, Calibration] = {}
        self._publish = publish
        self._numbers = itertools.count(1)
        self._lock = asyncio.Lock()
        self._overlay: Overlay | None = None
        self._capture: Capture | None = None
        self._kind: Kind = "simulated"
        self._view = EngineView()
        self._shown = Shown()
        self._recent = Recent()
        self._keeping = Keeping(publish, artifacts)

    async def set(self, order: SetOverlay) -> None:
        """Work as ordered from now on. Raises CameraError where there is no such camera; then it works on as before."""
        async with self._lock:
            capture = await self._captured(order)
            await self._end()
            if self._capture is not None and self._capture is not capture:
                await asyncio.to_thread(self._capture.close, STOP_SECONDS)
            self.order, self._capture = order, capture
            self._keeping.again()

    async def close(self) -> None:
        """Compose nothing more, and let go of the camera."""
        async with self._lock:
            await self._end()
            if self._capture is not None:
                await asyncio.to_thread(self._capture.close, STOP_SECONDS)
        await self._keeping.close(STOP_SECONDS)

    async def want(self, is_tracked: bool) -> None:
        """Each second: ask for pictures while there is something to show, and begin or end."""
        async with self._lock:
            if not (self.order.on and is_tracked):
                await self._end()
                return
            if self._overlay is None or self._overlay.order != self._wanted():
                await self._end()
                self._begin()
        cameras = [OVERLAY] if self._capture is not None else [CAMERA, OVERLAY]
        self._publish(scene.VIEW, scene.View(cameras=cameras, layers=[OVERLAY], rate=self._rate()))

    def follow(self, latest: Latest, truth: Truth | None) -> None:
        """The tracker's newest pose: have the engine's cameras be where it will be when they are drawn."""
        if not self.order.on:
            return
        self._kind = latest.source.kind
        ahead = self.stages.horizon
        place = predicted(latest.place, latest.motion, ahead)
        self._move_overlay(place, latest.sampled)  # first: the bridge sends at once what comes first, and what follows behind its answer
        self._move_stand_in(place, latest.sampled + round(ahead * 1e9), truth)

    def applied(self, said: ue5.Applied) -> None:
        if OVERLAY in said.cameras:
            self.stages.applied(said.cameras[OVERLAY], said.applied)

    def seen(self, picture: engine.Picture, data: bytes) -> None:
        """One of the engine's pictures, and its file."""
        self._view.note(picture)
        if self._overlay is not None:
            self._overlay.put(picture, data)

    def shown(self, sequence: int, at: int, uncertainty: float) -> None:
        """A page has shown a picture of the overlay. How far off that time is, the latency's clock says for all of them."""
        sampled = self._shown.sampled(sequence)
        if sampled is not None:
            self.stages.shown(sampled, at)

    @property
    def error(self) -> float | None:
        """Of the newest picture that was measured in the last seconds, in pixels."""
        return self._recent.error

    def state(self, url: str | None, is_calibrating: bool) -> OverlayState:
        return OverlayState(
            on=self.order.on,
            url=url,
            device=self.order.device,
            alpha=self.order.alpha,
            tracker=self.order.tracker,
            calibration=None if self._calibration is None else self._calibration.path,
            camera=self._wanted().camera if self.order.on else None,
            kind=self._kind if self._overlay is not None else None,
            rate=self._recent.rate,
            error=self.error,
            reason=self._reason(is_calibrating),
        )

    @property
    def _calibration(self) -> Calibration | None:
        """Of the camera that the overlay is laid over."""
        return self.calibrations.get(self.order.device)

    def _rate(self) -> float:
        """Pictures a second: drawing, composing and looking for the board take most of a core at 30."""
        return self.order.rate or (WATCHED_RATE if self.broadcast.is_watched else UNWATCHED_RATE)

    async def _captured(self, order: SetOverlay) -> Capture | None:
        """The camera that is ordered: the one that is open, where it is the same."""
        if not order.on or order.device is None:
            return None
        return self._capture if order.device == self.order.device and self._capture is not None else await opened(order.device)

    def _begin(self) -> None:
        self._overlay = Overlay(self._wanted(), self._numbers, self._composed, self._capture)
        self._overlay.start()
        self._recent = Recent()
        self.broadcast.begin()

    async def _end(self) -> None:
        overlay, self._overlay = self._overlay, None
        if overlay is not None:
            self.broadcast.end()
            self._recent = Recent()
            await asyncio.to_thread(overlay.stop, STOP_SECONDS)

    def _wanted(self) -> Order:
        camera = STAND_IN if self.order.device is None else f"camera {self.order.device}"
        model = None if self._calibration is None else self._calibration.camera
        return Order(camera=camera, kind=self._kind, alpha=self.order.alpha, model=model)

    def _move_stand_in(self, place: Rigid, when: int, truth: Truth | None) -> None:
        """To where the device truly is then, if that is known; else to where the overlay is, too."""
        if self._capture is not None:
            return
        known = truth(when) if truth is not None else None
        self._publish(scene.ACTOR_POSE, stand_in_pose(place if known is None else known))

    def _move_overlay(self, place: Rigid, sampled: int) -> None:
        mount, model = (None, None) if self._calibration is None else (self._calibration.mount, self._calibration.camera)
        pose, now = overlay_pose(place, mount, self._view.angle(model)), time.time_ns()
        self.stages.wished(now, sampled)
        if self._overlay is not None:
            self._overlay.poses.remember(Rigid(pose.position, pose.orientation), sampled, now)
        self._publish(scene.CAMERA_POSE, pose, time=now)

    def _composed(self, composed: Composed) -> None:
        if self._overlay is None:
            return  # it was turned off while this was made
        said = composed.overlaid
        if said.sampled is not None:
            self.stages.drawn(said.sampled, said.drawn)
            self.stages.composed(said.sampled, said.composed)
            self._shown.composed(said.sequence, said.sampled)
        self._publish(xr.OVERLAID, said, attachments=(composed.jpeg,))
        self.broadcast.put(said.sequence, composed.jpeg)
        self._recent.composed(said.error)
        self._keeping.offer(composed)

    def _reason(self, is_calibrating: bool) -> str | None:
        """Why there is no picture, and what to do; None: there is."""
        if not self.order.on:
            return "it is off: bus call xr.overlay '{}' turns it on"
        if is_calibrating:
            return "the engine's stand-in is being calibrated: it goes on after that"
        if self._overlay is None:
            return f"{self.order.tracker} is not tracked: xr.replay plays a trajectory, and xr.status says where the page for a headset is"
        return self._view.reason or self._overlay.reason or self._recent.reason
