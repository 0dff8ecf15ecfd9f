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
from agents.xr.cameras.opening import opened
from agents.xr.overlay.following import STAND_IN
from agents.xr.tracking.tracker import Publish, Tracker
from agents.xr.views import StandIn, held_in_hand
from bus.errors import CommandRefused
from schemas import cameras, engine, scene, system
from schemas.cameras import Board, Calibrate, Calibrating, Calibration, CalibrationBegun
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
    """Views, and what is to be said of the camera that took them. `capture` is closed at the end."""

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
        self._job: str | None = None
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

    def seen(self, picture: engine.Picture, data: bytes) -> None:
        """One of the engine's pictures, and its file."""
        self._stand_in.put(picture, data)

    async def begin(self, request: Calibrate, on_done: Callable[[Calibration], None]) -> CalibrationBegun:
        """Raises CommandRefused."""
        if self._job is not None:
            raise CommandRefused("busy", f"{self._job} goes on: wait for its xr.calibration.done or refused")
        job = self._job = f"calibration-{time.time_ns() // 1_000_000}"
        try:
            work = await self._work(request)
        except BaseException:
            self._job = None
            raise
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
            self._refuse(job, error.reason, error.mend)
        except asyncio.CancelledError:
            self._refuse(job, "the agent ends", "calibrate again when it runs")
            raise
        except Exception as error:  # whatever it is, somebody waits to hear of it
            _log.error("a calibration failed", job=job, exc_info=error)
            self._refuse(job, f"{type(error).__name__}: {error}", "mend that, and calibrate again")
        else:
            on_done(calibration)
            self._publish(cameras.CALIBRATED, calibration)
        finally:
            self.moves_the_engine, self._job = False, None
            if work.capture is not None:
                work.capture.close(0)

    def _refuse(self, job: str, reason: str, mend: str) -> None:
        self._publish(cameras.REFUSED, cameras.Refused(job=job, reason=reason, mend=mend))

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
        if request.board != Board():
            raise CommandRefused("bad_board", "the engine's scene has the board of the defaults: leave `board` out")
        if self._board is None:
            raise CommandRefused("no_board", f"no scene with a {BOARD!r} is known: see that engine and ue5 run, then bus call engine.reset")
        places = tour(request.board, self._board, LENS, request.views)
        return _Work(self._stand_in.views(places), "simulated", STAND_IN)

    def _by_files(self, request: Calibrate) -> _Work:
        if request.path is None:
            raise CommandRefused("no_path", "name the folder of the pictures: path")
        folder = Path(request.path)
        if not folder.is_dir():
            raise CommandRefused("no_path", f"there is no folder {folder} on this machine")
        return _Work(read_folder(folder), "recorded", f"pictures in {folder.name}")

    async def _by_camera(self, request: Calibrate) -> _Work:
        tracker = request.tracker
        if tracker is not None and self._tracker.latest(tracker) is None:
            raise CommandRefused("not_tracked", f"{tracker} is not tracked: see that its poses come (xr.status), or leave `tracker` out")
        try:
            capture = await opened(request.device)
        except CameraError as error:
            raise CommandRefused("no_camera", str(error)) from error
        tracked = None if tracker is None else partial(self._tracker.latest, tracker)
        return _Work(held_in_hand(capture, tracked), "real", f"camera {request.device}", capture)

    def _say_progress(self, progress: Calibrating) -> None:
        self._publish(cameras.PROGRESS, progress)

    def _say_artifact(self, artifact: system.Artifact) -> None:
        self._publish(system.ARTIFACT, artifact)
