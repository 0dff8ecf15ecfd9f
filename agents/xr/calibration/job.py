"""One calibration: views are looked at one after the other, and then a camera comes out of them, or a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agents.xr.calibration import variety
from agents.xr.calibration.boards import check
from agents.xr.calibration.daemon import in_daemon
from agents.xr.calibration.hand_eye import Pair, find_mount
from agents.xr.calibration.intrinsics import Solved, solve
from agents.xr.calibration.looking import Missed, look
from agents.xr.calibration.poses import board_pose
from agents.xr.calibration.refusal import MENDS, check_deviation, check_number, check_sizes, check_variety
from agents.xr.calibration.report import UNITS, Report, calibration_of, column, intrinsic_matrix, write_report
from agents.xr.calibration.view import Sighting, View
from bus.topic import Name
from schemas import system
from schemas.cameras import Board, Calibrate, Calibrating, Calibration, Mount, ViewError
from schemas.xr import Kind

SECONDS = 600.0
"""Views are taken for so long at most, and then those that there are have to do."""
MOST_LOOKED_AT = 3000
MOST_VIEWS = 200
"""Of a folder all are used, of other sources as many as are wanted."""
MOST_TOLD = 50
"""Views of no use that the result tells of: an event has 64 KiB."""


@dataclass(slots=True)
class _Taken:
    """What has been seen so far."""

    good: list[Sighting] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)
    repeated: int = 0

    @property
    def looked_at(self) -> int:
        return len(self.good) + len(self.missed) + self.repeated


async def calibrate(
    job: Name,
    request: Calibrate,
    views: AsyncIterator[View],
    kind: Kind,
    source: str,
    artifacts: Path,
    progress: Callable[[Calibrating], None],
    announce: Callable[[system.Artifact], None],
) -> Calibration:
    """Calibrate the camera that took these views, and its mount where the tracker is known; write calibration.json and announce it.

    `source` says which camera it is. Raises BadViews, OSError. May be cancelled: what a thread is about then comes to nothing.
    """
    check(request.board)
    taken = await _take(job, request, views, progress)
    check_number(taken.good, taken.missed, taken.repeated, request.views)
    check_variety(taken.good, request.board)
    solved = await in_daemon(solve, taken.good, request.board)
    check_deviation(solved.fit.camera.intrinsics.fx, solved.fit.deviations[0])
    mount = await in_daemon(_mount, taken.good, solved, request)
    report = _report(job, request, kind, source, taken, solved, mount)
    artifact = await asyncio.to_thread(write_report, report, artifacts)
    announce(artifact)
    return calibration_of(report, artifact.hash)


async def _take(job: Name, request: Calibrate, views: AsyncIterator[View], progress: Callable[[Calibrating], None]) -> _Taken:
    """Look at views until enough are good, or there are no more."""
    taken = _Taken()
    most = MOST_VIEWS if request.source == "files" else request.views
    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            async for view in views:
                seen = await in_daemon(look, view, request.board)
                _note(seen, request, taken)
                progress(_progress(job, request, taken, seen))
                if len(taken.good) >= most or taken.looked_at >= MOST_LOOKED_AT:
                    break
    return taken


def _note(seen: Sighting | Missed, request: Calibrate, taken: _Taken) -> None:
    """Raises BadViews."""
    if isinstance(seen, Missed):
        taken.missed.append(seen)
        return
    check_sizes(taken.good, seen)
    if request.source == "camera" and not variety.is_new(seen, taken.good):  # it takes pictures all the time
        taken.repeated += 1
    else:
        taken.good.append(seen)


def _progress(job: Name, request: Calibrate, taken: _Taken, seen: Sighting | Missed) -> Calibrating:
    return Calibrating(
        job=job,
        taken=len(taken.good),
        wanted=request.views,
        looked_at=taken.looked_at,
        hint=_hint(request, taken, seen),
    )


def _hint(request: Calibrate, taken: _Taken, seen: Sighting | Missed) -> str | None:
    """What to do next; None: enough is done."""
    if len(taken.good) >= request.views:
        return None
    return f"{seen.reason}: {MENDS[seen.cause]}" if isinstance(seen, Missed) else variety.hint(taken.good, request.board)


def _mount(sightings: Sequence[Sighting], solved: Solved, request: Calibrate) -> Mount | None:
    """Where the camera sits on its tracker; None: nobody asked, and no pose of it came. Raises BadViews."""
    pairs = _pairs(sightings, solved, request.board)
    return find_mount(pairs, request.board) if pairs or request.tracker else None


def _pairs(sightings: Sequence[Sighting], solved: Solved, board: Board) -> list[Pair]:
    pairs = []
    for sighting, used in zip(sightings, solved.used, strict=True):
        seen = board_pose(sighting.corners, board, solved.fit.camera)
        if used and sighting.tracker is not None and seen is not None:
            pairs.append(Pair(sighting.tracker, seen))
    return pairs


def _report(job: Name, request: Calibrate, kind: Kind, source: str, taken: _Taken, solved: Solved, mount: Mount | None) -> Report:
    return Report(
        calibration_time=datetime.now(UTC).isoformat(timespec="seconds"),
        job=job,
        source=source,
        kind=kind,
        device=None if request.source == "engine" else request.device,
        units=UNITS,
        nframes=int(solved.used.sum()),
        image_width=solved.fit.camera.intrinsics.width,
        image_height=solved.fit.camera.intrinsics.height,
        board=request.board,
        camera_matrix=intrinsic_matrix(solved.fit.camera),
        distortion_coefficients=column(list(solved.fit.camera.distortion)),
        avg_reprojection_error=solved.fit.rms,
        per_view_reprojection_errors=column(solved.errors[solved.used].tolist()),
        std_deviations_intrinsics=column(list(solved.fit.deviations)),
        views=_view_errors(taken, solved),
        mount=mount,
    )


def _view_errors(taken: _Taken, solved: Solved) -> list[ViewError]:
    """Of the views that were looked at: first those in which the board was seen."""
    seen = [
        ViewError(
            name=sighting.name,
            corners=len(sighting.corners.numbers),
            error=float(error),
            used=bool(used),
            reason=None if used else "its error is far above that of the others",
        )
        for sighting, error, used in zip(taken.good, solved.errors, solved.used, strict=True)
    ]
    missed = taken.missed[:MOST_TOLD]
    return seen + [ViewError(name=each.name, corners=0, error=None, used=False, reason=each.reason) for each in missed]
