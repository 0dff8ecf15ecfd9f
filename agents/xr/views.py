"""Where views of a board come from: the engine's stand-in for a camera, moved around it, or a camera of this machine, held in hand."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress

from agents.parts.rigid import Rigid, angle_between
from agents.xr.calibration.errors import BadViews
from agents.xr.calibration.view import View
from agents.xr.cameras.capture import Capture
from agents.xr.overlay.decoding import BadPicture, colours
from agents.xr.overlay.following import stand_in_pose
from agents.xr.overlay.matching import Drawn
from agents.xr.tracking.tracker import Latest, Publish
from schemas import engine, scene
from schemas.xr import CAMERA

ARRIVED = 1e-4
"""Metres and radians: a picture that was drawn nearer to the place that was wanted is of it."""
PATIENCE = 10.0
"""Seconds for the engine to show the stand-in where it was put."""
AGAIN = 1.0
"""Seconds after which it is put there again, and its pictures are wanted again."""
PICTURES_PER_SECOND = 30.0
BETWEEN = 0.7
"""Seconds between two views of a camera that a person moves."""
MOST_UNSTILL = 60
"""Pictures in a row, of a tracker that is lost or moves, after which nobody is about to hold it still."""
STILL = 0.05
"""Metres and radians a second: of a tracker that moves faster, picture and pose are not of one moment."""


class StandIn:
    """The engine's stand-in for a camera: `put` takes what the engine shows."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._newest: Drawn | None = None
        self._came = asyncio.Event()

    def put(self, picture: engine.Picture, data: bytes) -> None:
        if picture.camera == CAMERA:
            self._newest = Drawn(picture, data)
            self._came.set()

    async def views(self, places: Iterable[Rigid]) -> AsyncIterator[View]:
        """One from each place, which is its tracker's, too. Raises BadViews where the engine shows none."""
        for number, place in enumerate(places, 1):
            drawn = await self._drawn_at(place)
            try:
                yield View(name=f"view {number}", picture=colours(drawn), tracker=place)
            except BadPicture as error:
                raise BadViews(str(error), "update the engine and the agent together") from error

    async def _drawn_at(self, place: Rigid) -> Drawn:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._wait_for(place)
        except TimeoutError:
            raise BadViews(
                f"the engine did not show {CAMERA} where it was put in {PATIENCE:g} s",
                "see that engine and ue5 run (bus top), and that the scene has this camera (bus call engine.reset)",
            ) from None

    async def _wait_for(self, place: Rigid) -> Drawn:
        while True:
            self._publish(scene.VIEW, scene.View(cameras=[CAMERA], rate=PICTURES_PER_SECOND))
            self._publish(scene.ACTOR_POSE, stand_in_pose(place))
            self._came.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN):
                    await self._came.wait()
            if self._newest is not None and _is_at(self._newest.picture, place):
                return self._newest


async def held_in_hand(capture: Capture, tracked: Callable[[], Latest | None] | None) -> AsyncIterator[View]:
    """What a camera of this machine sees, as often as a person moves it or the board; with the pose of its tracker, if it has one."""
    taken = waiting = 0
    while True:
        await asyncio.sleep(BETWEEN)
        frame = capture.latest()
        if frame is None or frame.taken_ns == taken:
            continue
        taken = frame.taken_ns
        if tracked is None:
            yield View(name=_named(taken), picture=frame.picture)
        elif (latest := tracked()) is None or not _is_still(latest):
            waiting = _not_lost(waiting)
        else:
            waiting = 0
            yield View(name=_named(taken), picture=frame.picture, tracker=latest.place)


def _not_lost(waiting: int) -> int:
    """One more picture without a still tracker. Raises BadViews after too many in a row."""
    if waiting >= MOST_UNSTILL:
        raise BadViews(
            f"the tracker was not seen to be still in {MOST_UNSTILL} pictures", "see that it is tracked, and hold it still for each"
        )
    return waiting + 1


def _named(taken_ns: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(taken_ns / 1e9))


def _is_at(picture: engine.Picture, place: Rigid) -> bool:
    near = math.dist(picture.position, place.position) <= ARRIVED
    return near and angle_between(picture.orientation, place.orientation) <= ARRIVED


def _is_still(latest: Latest) -> bool:
    motion = latest.motion
    return all(velocity is not None and math.hypot(*velocity) <= STILL for velocity in (motion.linear, motion.angular))
