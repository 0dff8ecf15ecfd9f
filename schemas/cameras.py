"""Cameras of the pose streamer: what they are calibrated by, how far that is, and what came out of it.

Everything is in the frame of the bus: metres, right-handed, Y up, cameras look along -Z. Angles are radians, lengths in pictures pixels.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from bus.topic import ArtifactPath, Command, Name, Sha256, Topic
from schemas.engine import Intrinsics
from schemas.scene import Quaternion, Vector
from schemas.xr import Device, Kind


class Board(Struct, frozen=True, kw_only=True):
    """A calibration board: `columns` by `rows` squares of a ChArUco board, or inner corners of a chessboard. Edges of `square` and `marker`
    are in metres; `dictionary` is OpenCV's name of a ChArUco board's markers.
    """

    pattern: Literal["charuco", "chessboard"] = "charuco"
    columns: Annotated[int, Meta(ge=3, le=50)] = 7
    rows: Annotated[int, Meta(ge=3, le=50)] = 5
    square: Annotated[float, Meta(ge=1e-3, le=10)] = 0.04
    marker: Annotated[float, Meta(ge=1e-3, le=10)] = 0.03
    dictionary: Annotated[str, Meta(pattern=r"^DICT_[A-Z0-9_]{1,30}\Z")] = "DICT_4X4_50"


class CameraModel(Struct, frozen=True, kw_only=True):
    """A camera as OpenCV has it: `distortion` is k1, k2, p1, p2, k3."""

    intrinsics: Intrinsics
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)


class Mount(Struct, frozen=True, kw_only=True):
    """Where a camera sits on its tracker, in the tracker's frame: both look along -Z. `method` is that of hand-eye calibration; residuals
    are RMS, in metres and radians.
    """

    position: Vector
    orientation: Quaternion
    method: str
    translation_residual: float
    rotation_residual: float
    views: int


class ViewError(Struct, frozen=True, kw_only=True):
    """A view of the board: RMS of its corners in pixels. `used`: it is part of the result; else `reason` says why not."""

    name: str
    corners: int
    error: float | None
    used: bool
    reason: str | None = None


class Calibration(Struct, frozen=True, kw_only=True):
    """A calibrated camera. `rms` in pixels over all views used; `deviations` are standard deviations of fx, fy, cx, cy (pixels) and of the
    five of the distortion. `device` is the camera's number on this machine, null: the engine's stand-in. `path` is its file, below
    `artifacts/`.
    """

    job: Name
    device: int | None
    source: str
    kind: Kind
    board: Board
    camera: CameraModel
    rms: float
    deviations: tuple[float, ...]
    views: list[ViewError]
    mount: Mount | None = None
    path: ArtifactPath
    hash: Sha256


class Calibrating(Struct, frozen=True, kw_only=True):
    """How far a calibration is: `taken` of `wanted` views are good. `hint` says what the next one should be."""

    job: Name
    taken: int
    wanted: int
    looked_at: int
    hint: str | None = None


class Refused(Struct, frozen=True, kw_only=True):
    """A calibration came to nothing: why, and what to do."""

    job: Name
    reason: str
    mend: str


class Calibrate(Struct, frozen=True, kw_only=True):
    """Calibrate a camera by views of a board.

    `source`: `engine`, its own camera moved around the board that it shows; `files`, pictures that camera number `device` of this machine
    took, in the folder `path` (and for the mount a `poses.txt` there, the tracker's pose of each: name, x, y, z, qx, qy, qz, qw); or
    `camera`, number `device`, of which pictures are taken while it or the board is moved, and the mount is found by the poses of `tracker`
    meanwhile.
    """

    source: Literal["engine", "files", "camera"] = "engine"
    path: Annotated[str, Meta(max_length=4096)] | None = None
    device: Annotated[int, Meta(ge=0, le=63)] = 0
    tracker: Device | None = None
    board: Board = Board()
    views: Annotated[int, Meta(ge=4, le=200)] = 15


class CalibrationBegun(Struct, frozen=True, kw_only=True):
    """`xr.calibration.progress` says how far it is, then `xr.calibration.done` or `refused`."""

    job: Name
    wanted: int


PROGRESS = Topic("xr.calibration.progress", Calibrating)
CALIBRATED = Topic("xr.calibration.done", Calibration)
REFUSED = Topic("xr.calibration.refused", Refused)

CALIBRATE = Command("xr.calibrate", Calibrate, CalibrationBegun)
