"""A camera of this machine, as far as a video file can stand for one: there is no real camera in these tests."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from agents.xr.cameras import capture as capture_module
from agents.xr.cameras.capture import CameraError, Capture, Frame

FRAMES = 200


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A film that gets brighter."""
    path = tmp_path_factory.mktemp("video") / "brighter.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    for number in range(FRAMES):
        writer.write(np.full((240, 320, 3), number, np.uint8))
    writer.release()
    return str(path)


def watched(capture: Capture) -> tuple[list[Frame], str]:
    """All frames that came to be the newest, and why there are no more."""
    frames: list[Frame] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            frame = capture.latest()
        except CameraError as error:
            return frames, str(error)
        if frame is not None and (not frames or frame is not frames[-1]):
            frames.append(frame)
        time.sleep(0.001)
    raise TimeoutError


def let_go(pipe: Path) -> None:
    """Of each that waits for somebody who writes, and those that would come after it."""
    writing = os.open(pipe, os.O_WRONLY)
    pipe.unlink()
    os.close(writing)


def test_the_newest_picture_wins_and_says_when_it_was_taken(video: str) -> None:
    before = time.time_ns()
    capture = Capture(video)
    capture.start()

    frames, why = watched(capture)

    assert frames and "no more pictures" in why
    brightness = [int(frame.picture[120, 160, 0]) for frame in frames]
    assert brightness == sorted(brightness)
    stamps = [frame.taken_ns for frame in frames]
    assert before <= stamps[0] and stamps == sorted(stamps) and stamps[-1] <= time.time_ns()


def test_a_camera_that_is_closed_lets_go_at_once_and_gives_no_more(video: str) -> None:
    capture = Capture(video)
    capture.start()

    assert capture.close(5)
    with pytest.raises(CameraError):
        capture.latest()


def test_closing_a_camera_that_was_never_started_is_no_trouble() -> None:
    assert Capture(0).close(0.1)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(CameraError, match="there is no /dev/video63"):
        Capture(63).start()


def test_a_file_that_is_no_video_says_that_it_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "film.avi").write_bytes(b"no film")

    with pytest.raises(CameraError, match="cannot be opened"):
        Capture(str(tmp_path / "film.avi")).start()


def test_a_camera_that_never_gives_a_picture_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "OPEN_SECONDS", 0.2)
    silent = tmp_path / "silent.avi"
    os.mkfifo(silent)  # whoever opens it to read waits for somebody who writes
    capture = Capture(str(silent))

    with pytest.raises(CameraError, match="has given no picture in"):
        capture.start()
    let_go(silent)
    assert capture.close(10)
