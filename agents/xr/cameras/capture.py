"""A camera of this machine (V4L2, UVC): a thread of its own takes its pictures, and the newest one wins."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from agents.xr.cameras.pixels import Pixels

OPEN_SECONDS = 10.0
"""Until a camera's first picture: some take seconds to wake up."""
SILENT_SECONDS = 2.0
"""After which a camera that gives no more pictures has failed."""


class CameraError(RuntimeError):
    """A camera gives no pictures; the message says which one, and why as far as that is known."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture [height, width, 3] in blue, green, red, and when it came from the camera, by this machine's clock in ns."""

    picture: Pixels
    taken_ns: int


class Capture:
    """The camera of a number (0: `/dev/video0`), or a video file, of which pictures come as fast as they are read. Started once."""

    def __init__(self, device: int | str) -> None:
        self._device = device
        self._name = f"/dev/video{device}" if isinstance(device, int) else device
        self._frame: Frame | None = None
        self._failed: str | None = None
        self._heard = 0.0
        self._decided = threading.Event()  # there is a picture, or there will be none
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="camera", daemon=True)  # a driver may keep it for ever

    def start(self) -> None:
        """Returns once there is a picture: not for an event loop. Raises CameraError, at the latest after OPEN_SECONDS."""
        _check(self._name)
        self._thread.start()
        if not self._decided.wait(OPEN_SECONDS):
            self._closing.set()
            raise CameraError(f"{self._name} has given no picture in {OPEN_SECONDS:.0f} s: unplug it, and plug it in again")
        if self._frame is None:
            raise CameraError(self._failed or f"{self._name} has given no picture")

    def latest(self) -> Frame | None:
        """The newest picture; None: it was never started. Raises CameraError once the camera has failed, or is silent for too long."""
        if self._failed is not None:
            raise CameraError(self._failed)
        silent = time.monotonic() - self._heard
        if self._frame is not None and silent > SILENT_SECONDS:
            raise CameraError(f"{self._name} has given no picture for {silent:.0f} s")
        return self._frame

    def close(self, timeout: float) -> bool:
        """Take no more pictures. False: the driver did not let go of the camera within so many seconds."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._failed = self._capture()
        except cv2.error as error:
            self._failed = f"{self._name} cannot be read: {error.err}"
        finally:
            self._decided.set()

    def _capture(self) -> str:
        """Take pictures until there are no more, or nobody wants any. Returns why it ended."""
        camera = cv2.VideoCapture(self._device)
        try:
            if not camera.isOpened():
                return f"{self._name} cannot be opened: end other programs that use it; some devices of this name give no pictures at all"
            camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # what waits in the driver is old
            while not self._closing.is_set():
                if not self._take(camera):
                    return f"{self._name} gives no more pictures: it was disconnected, is used by another program, or is at its end"
            return f"{self._name} is closed"
        finally:
            camera.release()

    def _take(self, camera: cv2.VideoCapture) -> bool:
        """Grabbing waits for the picture; decoding, which takes time too, comes after its time was taken."""
        if not camera.grab():
            return False
        taken_ns = time.time_ns()
        done, picture = camera.retrieve()
        if done:
            self._heard = time.monotonic()
            self._frame = Frame(np.asarray(picture, np.uint8), taken_ns)
            self._decided.set()
        return done


def _check(path: str) -> None:
    """Raises CameraError where it cannot even be tried: OpenCV would only say that it did not open."""
    if not Path(path).exists():
        raise CameraError(f"there is no {path}: connect the camera, or give the number of another one")
    if not os.access(path, os.R_OK):
        raise CameraError(f"{path} may not be read by this user: join the group that owns it (often `video`), and log in again")
