"""calibration.json: a calibrated camera under OpenCV's names, with units, errors and dates.

`cv2.FileStorage` reads it, the matrices as such (a map with `type_id` first: OpenCV's persistence_json.cpp).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from agents.parts.bounded import Unreadable, read_bounded
from agents.parts.links import keep, point
from bus.log.disk import make_folder, replace_file
from bus.topic import Name
from schemas import system
from schemas.cameras import Board, Calibration, CameraModel, Mount, ViewError
from schemas.engine import Intrinsics
from schemas.xr import Kind

FILE = Path("wondercraft", "xr_overlay", "calibration.json")
"""The newest one, below `artifacts/`."""
FOLDER = FILE.with_name("calibrations")
"""The newest one of each camera."""
ARTIFACT = "xr-calibration"
"""Its kind in the store."""
MOST_BYTES = 1 << 20
UNITS = {
    "camera_matrix": "pixels; the centre of the first pixel is (0, 0)",
    "distortion_coefficients": "k1, k2, p1, p2, k3",
    "avg_reprojection_error": "pixels, RMS over all corners of the views used",
    "per_view_reprojection_errors": "pixels, RMS over the corners of each view used",
    "std_deviations_intrinsics": "standard deviations of fx, fy, cx, cy in pixels, and of k1, k2, p1, p2, k3",
    "board": "metres",
    "mount": "metres and radians, x y z w: the camera in its tracker's frame, both right-handed, Y up, looking along -Z; residuals are RMS",
}


class BadReport(ValueError):
    """A calibration.json that is none of ours; the message says where."""


class Matrix(Struct, frozen=True, kw_only=True):
    """As cv2.FileStorage reads and writes one; `dt` d: doubles, row by row."""

    type_id: Literal["opencv-matrix"] = "opencv-matrix"
    rows: int
    cols: int
    dt: Literal["d"] = "d"
    data: list[float]


class Report(Struct, frozen=True, kw_only=True):
    """What the file holds. `calibration_time` is by ISO 8601; `views` were looked at, `nframes` of them used."""

    calibration_time: str
    job: Name
    source: str
    kind: Kind
    device: int | None
    units: dict[str, str]
    nframes: int
    image_width: int
    image_height: int
    board: Board
    camera_matrix: Matrix
    distortion_coefficients: Matrix
    avg_reprojection_error: float
    per_view_reprojection_errors: Matrix
    std_deviations_intrinsics: Matrix
    views: list[ViewError]
    mount: Mount | None


def write_report(report: Report, artifacts: Path) -> system.Artifact:
    """Put it where people look for it, and keep it. Raises OSError."""
    file = artifacts / path_of(report)
    make_folder(file.parent)
    replace_file(file, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    kept = keep(artifacts, file, ARTIFACT)
    point(artifacts / FILE, Path(os.path.relpath(artifacts / kept.path, (artifacts / FILE).parent)))
    return kept


def reports(artifacts: Path) -> list[Path]:
    """The newest one of each camera."""
    return sorted((artifacts / FOLDER).glob("*.json"))


def read_report(file: Path) -> Calibration:
    """Raises BadReport."""
    try:
        data = read_bounded(file, MOST_BYTES)
        return calibration_of(msgspec.json.decode(data, type=Report), hashlib.sha256(data).hexdigest())
    except (Unreadable, ValueError) as error:  # the latter: msgspec's, and matrices of another size
        raise BadReport(f"{file} is no calibration of ours: {error}; calibrate again, or remove it") from error


def path_of(report: Report) -> str:
    """Where the newest one of its camera is, below `artifacts/`."""
    return (FOLDER / ("engine.json" if report.device is None else f"camera-{report.device}.json")).as_posix()


def calibration_of(report: Report, sha256: str) -> Calibration:
    """The report as an event has it. Raises ValueError where a matrix has another size."""
    return Calibration(
        job=report.job,
        device=report.device,
        source=report.source,
        kind=report.kind,
        board=report.board,
        camera=_camera(report),
        rms=report.avg_reprojection_error,
        deviations=tuple(report.std_deviations_intrinsics.data),
        views=report.views,
        mount=report.mount,
        path=path_of(report),
        hash=sha256,
    )


def intrinsic_matrix(camera: CameraModel) -> Matrix:
    lens = camera.intrinsics
    return Matrix(rows=3, cols=3, data=[lens.fx, 0.0, lens.cx, 0.0, lens.fy, lens.cy, 0.0, 0.0, 1.0])


def column(values: list[float]) -> Matrix:
    return Matrix(rows=len(values), cols=1, data=values)


def _camera(report: Report) -> CameraModel:
    fx, _, cx, _, fy, cy, *_ = report.camera_matrix.data
    k1, k2, p1, p2, k3 = report.distortion_coefficients.data
    return CameraModel(
        intrinsics=Intrinsics(width=report.image_width, height=report.image_height, fx=fx, fy=fy, cx=cx, cy=cy),
        distortion=(k1, k2, p1, p2, k3),
    )
