"""Views from a folder: its pictures in the order of their names, and the tracker's poses of them from `poses.txt`, if that is there."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import cv2
import numpy as np

from agents.parts.bounded import Unreadable, read_bounded
from agents.parts.frames import is_unit, normalised
from agents.parts.picture_size import size_of
from agents.parts.rigid import Rigid
from agents.xr.calibration.daemon import in_daemon
from agents.xr.calibration.errors import BadViews
from agents.xr.calibration.view import View

POSES = "poses.txt"
KINDS = frozenset({".jpg", ".jpeg", ".png"})
MOST_FILES = 200
MOST_BYTES = 32 << 20
MOST_PIXELS = 50_000_000
"""Of a picture, by its header: it is looked at before anything is decoded."""
_MOST_POSES_BYTES = 1 << 20
_LONGEST_NAME = 48
_AS_TAKEN = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
"""Not turned as its EXIF data say: the camera is calibrated as its sensor lies."""


async def read_folder(folder: Path) -> AsyncIterator[View]:
    """The views, one after the other. Raises BadViews where something cannot be read, and says which."""
    paths, poses = await in_daemon(_list, folder)
    for path in paths:
        yield await in_daemon(_read, path, poses.get(path.name))


def _list(folder: Path) -> tuple[list[Path], dict[str, Rigid]]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS)
    except (OSError, ValueError) as error:
        raise BadViews(f"the folder {str(folder)!r} cannot be read: {error}", "give the path of a folder of this machine") from error
    if not 0 < len(paths) <= MOST_FILES:
        kinds = ", ".join(sorted(KINDS))
        raise BadViews(f"the folder {str(folder)!r} has {len(paths)} pictures", f"put 1 to {MOST_FILES} of them there ({kinds})")
    poses = folder / POSES
    return paths, _poses(poses) if poses.exists() else {}


def _read(path: Path, tracker: Rigid | None) -> View:
    try:
        data = read_bounded(path, MOST_BYTES)
    except Unreadable as error:
        raise BadViews(str(error), "take it out of the folder") from error
    size = size_of(data)
    if size is None or not 0 < size[0] * size[1] <= MOST_PIXELS:
        what = "is neither JPEG nor PNG" if size is None else f"has {size[0]}x{size[1]} pixels"
        raise BadViews(f"{path.name!r} {what}", f"take it out of the folder: pictures of up to {MOST_PIXELS} pixels are read")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), _AS_TAKEN)
    except cv2.error:
        picture = None
    if picture is None:
        raise BadViews(f"{path.name!r} is damaged: it cannot be decoded", "take it out of the folder, or take it again")
    return View(_printable(path.name), np.asarray(picture, np.uint8), tracker)


def _printable(name: str) -> str:
    """A file's name, as an event and OpenCV's JSON can have it: the end of a long one, which numbers it."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[-_LONGEST_NAME:])


def _poses(path: Path) -> dict[str, Rigid]:
    """The tracker's pose of each picture, by its name."""
    try:
        lines = read_bounded(path, _MOST_POSES_BYTES).decode("utf-8").splitlines()
    except (Unreadable, UnicodeDecodeError) as error:
        raise BadViews(f"{POSES} cannot be read: {error}", "write it in UTF-8, a line for each picture") from error
    poses = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, pose = _pose(number, line)
            poses[name] = pose
    return poses


def _pose(number: int, line: str) -> tuple[str, Rigid]:
    """Name, x, y, z, qx, qy, qz, qw."""
    name, *numbers = (word.strip() for word in line.split(",")) if "," in line else line.split()
    try:
        x, y, z, qx, qy, qz, qw = map(float, numbers)
    except ValueError as error:
        raise _bad_pose(number, line, str(error)) from error
    if not math.isfinite(x + y + z) or not is_unit((qx, qy, qz, qw)):
        raise _bad_pose(number, line, "its numbers are not finite, or its quaternion has not length 1")
    return name, Rigid((x, y, z), normalised((qx, qy, qz, qw)))


def _bad_pose(number: int, line: str, why: str) -> BadViews:
    return BadViews(
        f"{POSES}, line {number}, {line[:80]!r}: {why}", "write name, x, y, z, qx, qy, qz, qw: metres, and a quaternion of length 1"
    )
