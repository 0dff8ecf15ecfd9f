"""Calibrations as they are asked for: one at a time, with the views that it wants, and what is said of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from agents.parts.rigid import Rigid
from agents.xr.calibration.errors import BadViews
from agents.xr.calibration.files import read_folder
from agents.xr.calibration.job import calibrate
from agents.xr.calibration.report import BadReport, read_report, reports
from agents.xr.calibration.tour import tour
from agents.xr.calibration.view import View
from agents.xr.cameras.capture import CameraError, Capture
from agents.xr.tracking.tracker import Publish, Tracker
from agents.xr.views import StandIn, held_in_hand
from bus.errors import CommandRefused
from schemas import cameras, engine, scene, system
from schemas.cameras import Calibrate, Calibrating, Calibration, CalibrationBegun
from schemas.engine import Intrinsics
from schemas.xr import Kind

BOARD = "charuco board"
"""What the board is called in the engine's scenes."""
LENS = Intrinsics(width=640, height=360, fx=615.0, fy=615.0, cx=319.5, cy=179.5)
"""About that of the stand-in, by which the places around the board are chosen."""
STOP_SECONDS = 0.5

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Work:
    views: AsyncIterator[View]
    kind: Kind
    source: str
    capture: Capture | None = None


class Calibrations:
    """`moves_the_engine`: it has the stand-in for itself at the moment."""

    def __init__(self, publish: Publish, artifacts: Path, tracker: Tracker) -> None:
        self.moves_the_engine = False
        self._publish = publish
        self._artifacts = artifacts
        self._tracker = tracker
        self._stand_in = StandIn(publish)
        self._board: Rigid | None = None
        self._task: asyncio.Task[None] | None = None

    def stored(self) -> dict[int | None, Calibration]:
        """Those of earlier starts, by the camera's number. What cannot be read counts for nothing, and the log says why."""
        found = {}
        for file in reports(self._artifacts):
            try:
                calibration = read_report(file)
            except BadReport as error:
                _log.warning("a calibration cannot be used: calibrate again", reason=str(error))
            else:
                found[calibration.device] = calibration
        return found

    def learn(self, actors: scene.Actors) -> None:
        """Where the engine's board lies."""
        found = next((actor for actor in actors.actors if actor.label == BOARD), None)
        if found is not None:
            self._board = Rigid(found.position, found.orientation)

    def seen(self, seen: engine.Seen, files: tuple[bytes, ...]) -> None:
        for picture, data in zip(seen.pictures, files, strict=False):
            self._stand_in.put(picture, data)

    async def begin(self, request: Calibrate, on_done: Callable[[Calibration], None]) -> CalibrationBegun:
        """Raises CommandRefused."""
        if self._task is not None and not self._task.done():
            raise CommandRefused("busy", "a camera is being calibrated: wait for xr.calibration.done or refused")
        job, work = f"calibration-{time.time_ns() // 1_000_000}", await self._work(request)
        self._task = asyncio.ensure_future(self._run(job, request, work, on_done))
        return CalibrationBegun(job=job, wanted=request.views)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=STOP_SECONDS)

    async def _run(self, job: str, request: Calibrate, work: _Work, on_done: Callable[[Calibration], None]) -> None:
        self.moves_the_engine = request.source == "engine"
        try:
            calibration = await calibrate(
                job, request, work.views, work.kind, work.source, self._artifacts, self._say_progress, self._say_artifact
            )
        except BadViews as error:
            self._publish(cameras.REFUSED, cameras.Refused(job=job, reason=error.reason, mend=error.mend))
        except (CameraError, OSError) as error:
            self._publish(cameras.REFUSED, cameras.Refused(job=job, reason=str(error), mend="mend that, and calibrate again"))
        else:
            on_done(calibration)
            self._publish(cameras.CALIBRATED, calibration)
        finally:
            self.moves_the_engine = False
            if work.capture is not None:
                await asyncio.to_thread(work.capture.close, STOP_SECONDS)

    async def _work(self, request: Calibrate) -> _Work:
        """Where the views come from. Raises CommandRefused."""
        match request.source:
            case "engine":
                return self._by_engine(request)
            case "files":
                return self._by_files(request)
            case "camera":
                return await self._by_camera(request)

    def _by_engine(self, request: Calibrate) -> _Work:
        if self._board is None:
            raise CommandRefused("no_board", f"no scene with a {BOARD!r} is known: see that engine and ue5 run, then bus call engine.reset")
        places = tour(request.board, self._board, LENS, request.views)
        return _Work(self._stand_in.views(places), "simulated", "the engine's stand-in for a camera")

    def _by_files(self, request: Calibrate) -> _Work:
        if request.path is None:
            raise CommandRefused("no_path", "name the folder of the pictures: path")
        return _Work(read_folder(Path(request.path)), "recorded", f"pictures in {Path(request.path).name}")

    async def _by_camera(self, request: Calibrate) -> _Work:
        capture = Capture(request.device)
        try:
            await asyncio.to_thread(capture.start)
        except CameraError as error:
            raise CommandRefused("no_camera", str(error)) from error
        tracker = request.tracker
        tracked = None if tracker is None else partial(self._tracker.latest, tracker)
        return _Work(held_in_hand(capture, tracked), "real", f"camera {request.device}", capture)

    def _say_progress(self, progress: Calibrating) -> None:
        self._publish(cameras.PROGRESS, progress)

    def _say_artifact(self, artifact: system.Artifact) -> None:
        self._publish(system.ARTIFACT, artifact)
