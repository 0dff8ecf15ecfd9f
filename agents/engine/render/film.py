"""A recording: pictures of a camera become a video and a file of its poses, on a thread that is not the engine's."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import BinaryIO

import cv2
import msgspec
from msgspec import Struct

from agents.engine.render.canvas import Pixels
from agents.engine.render.studio import NoSuchCamera, Shot, Studio
from agents.engine.reports import RecordedFiles
from agents.parts.frames import Quaternion, Vector
from schemas.engine import Intrinsics

RATE = 30.0
"""Pictures for a second of video, at most: every second frame of 60."""
WAITING = 16
"""Pictures that wait to be written; a disk that is slower than that loses some, and the poses say which."""
VIDEO, POSES = "video.avi", "poses.jsonl"

_CODEC = cv2.VideoWriter.fourcc(*"MJPG")


class _Pose(Struct, frozen=True):
    """A line of the poses: in the frame of the bus, at `time` seconds of the scene, and the pinhole that the camera was then."""

    frame: int
    time: float
    position: Vector
    orientation: Quaternion
    intrinsics: Intrinsics


class Film:
    """Takes `seconds` of a camera into `folder`, by the count of frames that are meant to come `hz` times a second. `files` hears of the
    files when they are written.
    """

    def __init__(self, camera: str, seconds: float, hz: float, folder: Path, files: Future[RecordedFiles]) -> None:
        self._camera = camera
        self._folder = folder
        self._files = files
        self._rate = min(RATE, hz)
        self._share = self._rate / hz
        self._left = max(1, round(seconds * self._rate))
        self._due = 1 - self._share
        self._waiting: queue.SimpleQueue[tuple[Pixels, _Pose] | None] = queue.SimpleQueue()

    def start(self, studio: Studio) -> None:
        """Raises NoSuchCamera."""
        studio.view(self._camera)
        threading.Thread(target=self._work, args=(studio.size,), name="film", daemon=True).start()

    def roll(self, studio: Studio, time: float) -> bool:
        """Take the picture of this frame if it is one that the video has. False: no other one will be taken.

        This was the last one, the camera has gone, or nothing can be written.
        """
        if self._files.done():
            return False
        self._due += self._share
        if self._due < 1:
            return True
        self._due -= 1
        try:
            self._take(studio.shot(self._camera), time)
        except NoSuchCamera:
            self._left = 0
        if self._left == 0:
            self.end()
        return self._left > 0

    def end(self) -> None:
        """Nothing more will be taken."""
        self._waiting.put(None)

    def _take(self, shot: Shot, time: float) -> None:
        self._left -= 1
        if self._waiting.qsize() < WAITING:
            picture = shot.picture
            self._waiting.put((shot.pixels, _Pose(picture.frame, time, picture.position, picture.orientation, picture.intrinsics)))

    def _work(self, size: tuple[int, int]) -> None:
        try:
            self._files.set_result(self._write(size))
        except Exception as error:  # whatever it is, who waits for the files has to hear of it
            self._files.set_exception(error)

    def _write(self, size: tuple[int, int]) -> RecordedFiles:
        """Write what is taken, until the end. Raises OSError."""
        video, poses = self._folder / VIDEO, self._folder / POSES
        writer = cv2.VideoWriter(str(video), _CODEC, self._rate, size)
        if not writer.isOpened():
            raise OSError(f"OpenCV writes no video to {video}: is its folder there, and may we write into it?")
        try:
            with poses.open("wb") as lines:
                frames = self._write_all(writer, lines)
        finally:
            writer.release()
        _check(video, frames)
        return RecordedFiles(video=video, poses=poses, frames=frames)

    def _write_all(self, writer: cv2.VideoWriter, lines: BinaryIO) -> int:
        """Returns how many pictures there were."""
        frames = 0
        for pixels, pose in iter(self._waiting.get, None):
            writer.write(pixels)
            lines.write(msgspec.json.encode(pose) + b"\n")
            frames += 1
        return frames


def _check(video: Path, frames: int) -> None:
    """OpenCV's writer keeps silent about a disk that takes nothing more. Raises OSError."""
    there = int(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT))
    if there != frames:
        raise OSError(f"{frames} pictures were written to {video}, and its index has {there}: is the disk full?")
