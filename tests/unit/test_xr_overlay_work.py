"""The overlay goes on whatever the engine sends: a bad picture is refused with its reason, a slow viewer delays nobody."""

from __future__ import annotations

import asyncio
import itertools
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from msgspec.structs import replace

from agents.engine.render.charuco import board
from agents.xr.cameras.capture import CameraError, Frame
from agents.xr.cameras.pixels import Pixels
from agents.xr.overlay import broadcast, decoding, error_picture
from agents.xr.overlay.broadcast import Broadcast
from agents.xr.overlay.composer import Composed, Composer, Job, Order
from agents.xr.overlay.decoding import BadPicture
from agents.xr.overlay.matching import Drawn
from agents.xr.overlay.newest import Newest
from agents.xr.overlay.overlay import Overlay
from bus.store import Store
from schemas.cameras import CameraModel
from schemas.engine import Intrinsics, Picture
from schemas.xr import CAMERA, OVERLAY

WIDTH, HEIGHT = 320, 180
LENS = Intrinsics(width=WIDTH, height=HEIGHT, fx=300.0, fy=300.0, cx=(WIDTH - 1) / 2, cy=(HEIGHT - 1) / 2)
ORDER = Order(camera="the engine's", kind="simulated", alpha=0.5)
BLUE, RED = (255, 0, 0), (0, 0, 255)
SECONDS = 10.0


def encoded(pixels: Pixels, kind: str = ".png") -> bytes:
    return cv2.imencode(kind, pixels)[1].tobytes()


def picture(camera: str, frame: int = 1) -> Picture:
    still = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    return Picture(
        engine="test",
        camera=camera,
        frame=frame,
        position=still[0],
        orientation=still[1],
        intrinsics=LENS,
        placed=500,
        layer=camera == OVERLAY,
    )


def plain(colour: tuple[int, int, int]) -> Pixels:
    return np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


def opaque(pixels: Pixels) -> Pixels:
    return np.dstack([pixels, np.full((HEIGHT, WIDTH), 255, np.uint8)])


def with_board() -> Pixels:
    return np.asarray(cv2.cvtColor(board().generateImage((WIDTH, HEIGHT), marginSize=8), cv2.COLOR_GRAY2BGR), np.uint8)


CAMERAS = Drawn(picture(CAMERA), encoded(plain(BLUE), ".jpg"))
LAYER = Drawn(picture(OVERLAY), encoded(opaque(plain(RED))))


def header_of(width: int, height: int) -> bytes:
    """A PNG that says it is as large as this, and ends there."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 6, 0, 0, 0)


@pytest.mark.parametrize(
    ("lens", "data", "reason"),
    [
        (LENS, b"", "is neither PNG nor JPEG"),
        (LENS, b"GIF89a" + bytes(90), "is neither PNG nor JPEG"),
        (LENS, header_of(60_000, 60_000), "has 60000x60000 pixels, and its event says 320x180"),
        (replace(LENS, width=60_000, height=60_000), header_of(60_000, 60_000), "has 60000x60000 pixels: want 8847360 in all at most"),
        (LENS, header_of(WIDTH, HEIGHT), "cannot be decoded"),
        (LENS, encoded(plain(RED)), "want 4 channels of 8 bits"),
        (LENS, encoded(opaque(plain(RED)).astype(np.uint16)), "is uint16"),
        (replace(LENS, width=640), encoded(opaque(plain(RED))), "has 320x180 pixels, and its event says 640x180"),
    ],
)
def test_a_layer_that_is_none_is_refused_before_it_takes_memory(lens: Intrinsics, data: bytes, reason: str) -> None:
    bad = Drawn(replace(picture(OVERLAY), intrinsics=lens), data)

    with pytest.raises(BadPicture, match=f"'xr-overlay' .*{reason}"):
        decoding.layer(bad)


def test_a_picture_with_more_bytes_than_are_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MOST_BYTES", 100)

    with pytest.raises(BadPicture, match="want 100 at most"):
        decoding.colours(CAMERAS)


def test_a_composed_picture_says_what_it_is_and_shows_both() -> None:
    composed = Composer(ORDER).compose(Job(3, CAMERAS, LAYER, sampled=400))

    said = composed.overlaid
    assert (said.sequence, said.camera, said.kind, said.alpha) == (3, "the engine's", "simulated", 0.5)
    assert (said.width, said.height, said.sampled, said.drawn, said.error) == (WIDTH, HEIGHT, 400, 500, None)
    shown = cv2.imdecode(np.frombuffer(composed.jpeg, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_allclose(shown[HEIGHT // 2, WIDTH // 2], (127, 0, 127), atol=4)


def test_the_error_is_measured_once_a_second() -> None:
    now = iter((0.0, 0.0, 0.0, 0.5, 1.5, 1.5))
    composer = Composer(ORDER, lambda: next(now))
    job = Job(1, replace(CAMERAS, data=encoded(with_board())), replace(LAYER, data=encoded(opaque(with_board()))), None)

    errors = [composer.compose(job).overlaid.error for _ in range(3)]

    assert errors == [pytest.approx(0, abs=0.01), None, pytest.approx(0, abs=0.01)]


@pytest.mark.parametrize(
    ("model", "camera", "layer", "reason"),
    [
        (None, plain(BLUE), LAYER, "is not calibrated: calibrate it with xr.calibrate"),
        (CameraModel(intrinsics=replace(LENS, width=640)), CAMERAS, LAYER, "has 320x180 pixels, and was calibrated with 640x180"),
        (None, CAMERAS, replace(LAYER, picture=replace(LAYER.picture, placed=None)), "does not say when it was drawn"),
    ],
)
def test_what_cannot_be_laid_over_each_other_is_refused_with_what_to_do(
    model: CameraModel | None, camera: Drawn | Pixels, layer: Drawn, reason: str
) -> None:
    with pytest.raises(BadPicture, match=reason):
        Composer(replace(ORDER, model=model)).compose(Job(1, camera, layer, None))


@dataclass
class Running:
    """An overlay at work, and what came of it."""

    overlay: Overlay
    composed: asyncio.Queue[Composed]

    async def next(self) -> Composed:
        async with asyncio.timeout(SECONDS):
            return await self.composed.get()


@dataclass
class StillCamera:
    """A camera that has taken one picture, or has failed."""

    failed: str | None = None

    def latest(self) -> Frame:
        if self.failed is not None:
            raise CameraError(self.failed)
        return Frame(plain(BLUE), 490)


def run(steps: Callable[[Running], Coroutine[Any, Any, None]], order: Order = ORDER, camera: StillCamera | None = None) -> None:
    async def running() -> None:
        composed: asyncio.Queue[Composed] = asyncio.Queue()
        overlay = Overlay(order, itertools.count(1), composed.put_nowait, camera)
        overlay.start()
        try:
            await steps(Running(overlay, composed))
        finally:
            await asyncio.to_thread(overlay.stop, SECONDS)

    asyncio.run(running())
    assert not any(thread.name == "overlay" for thread in threading.enumerate())


def reason_of(overlay: Overlay) -> str:
    """Why it composes nothing, once it has tried."""
    until = time.monotonic() + SECONDS
    while overlay.reason is None and time.monotonic() < until:
        time.sleep(0.005)
    return overlay.reason or "no reason"


def test_a_bad_picture_is_said_and_the_next_one_is_composed() -> None:
    async def steps(running: Running) -> None:
        running.overlay.put(CAMERAS.picture, b"nonsense")
        running.overlay.put(LAYER.picture, LAYER.data)
        assert "'xr-camera' is neither PNG nor JPEG" in await asyncio.to_thread(reason_of, running.overlay)

        running.overlay.put(replace(CAMERAS.picture, frame=2), CAMERAS.data)
        running.overlay.put(replace(LAYER.picture, frame=2), LAYER.data)
        assert (await running.next()).overlaid.sequence == 2
        assert running.overlay.reason is None

    run(steps)


def test_a_real_cameras_picture_is_composed_once_with_a_layer_for_it() -> None:
    async def steps(running: Running) -> None:
        for frame in (1, 2):
            running.overlay.put(replace(LAYER.picture, frame=frame), LAYER.data)
        assert (await running.next()).overlaid.drawn == 500
        await asyncio.to_thread(running.overlay.stop, SECONDS)
        assert running.composed.empty()

    run(steps, replace(ORDER, kind="real", model=CameraModel(intrinsics=LENS)), StillCamera())


def test_a_camera_that_has_failed_is_said() -> None:
    async def steps(running: Running) -> None:
        running.overlay.put(LAYER.picture, LAYER.data)
        assert running.overlay.reason == "/dev/video0 was unplugged"

    run(steps, replace(ORDER, kind="real"), StillCamera(failed="/dev/video0 was unplugged"))


def test_of_what_waits_the_newest_is_taken_and_the_rest_is_dropped() -> None:
    waiting: Newest[int] = Newest()
    for number in range(5):
        waiting.put(number)

    assert waiting.take() == 4
    waiting.put(5)
    waiting.close()
    assert waiting.take() is None


def test_a_slow_viewer_skips_and_a_quick_one_misses_nothing() -> None:
    async def watch() -> tuple[list[int], list[int]]:
        stream = Broadcast()
        stream.begin()
        quick, slow = stream.frames(), stream.frames()
        seen_quick, seen_slow = [], []
        for number in range(1, 10):
            stream.put(number, b"jpeg")
            seen_quick.append((await anext(quick))[0])
            if number % 4 == 1:
                seen_slow.append((await anext(slow))[0])
        stream.end()
        return seen_quick, seen_slow

    assert asyncio.run(watch()) == (list(range(1, 10)), [1, 5, 9])


def test_a_viewer_waits_for_the_next_picture_and_its_stream_ends_with_the_overlay() -> None:
    async def watch() -> list[int]:
        stream = Broadcast()
        stream.begin()
        seen = asyncio.create_task(numbers(stream.frames()))
        for number in (1, 2):
            await asyncio.sleep(0)
            stream.put(number, b"jpeg")
            await asyncio.sleep(0)
        stream.end()
        async with asyncio.timeout(SECONDS):
            return await seen

    assert asyncio.run(watch()) == [1, 2]


def test_what_is_off_has_no_stream_and_an_old_picture_is_not_shown_again() -> None:
    async def watch() -> list[int]:
        stream = Broadcast()
        stream.put(1, b"jpeg")
        before = await numbers(stream.frames())
        stream.begin()
        stream.put(2, b"jpeg")
        stream.end()
        return before + await numbers(stream.frames())

    assert asyncio.run(watch()) == []


def test_a_stream_that_is_silent_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broadcast, "SILENCE", 0.01)

    async def watch() -> list[int]:
        stream = Broadcast()
        stream.begin()
        stream.put(1, b"jpeg")
        async with asyncio.timeout(SECONDS):
            return await numbers(stream.frames())

    assert asyncio.run(watch()) == [1]


async def numbers(frames: AsyncIterator[tuple[int, bytes]]) -> list[int]:
    return [number async for number, _ in frames]


def off_by(pixels: float) -> Composed:
    """A picture of the board, and a twin that lies so far to the right."""
    moved = cv2.warpAffine(with_board(), np.array([[1.0, 0.0, pixels], [0.0, 1.0, 0.0]]), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    job = Job(1, replace(CAMERAS, data=encoded(with_board())), replace(LAYER, data=encoded(opaque(np.asarray(moved, np.uint8)))), None)
    return Composer(ORDER).compose(job)


def test_overlay_png_shows_the_error_many_times_as_long() -> None:
    composed = off_by(2.0)
    assert composed.measured is not None

    drawn = error_picture.drawn_error(composed).astype(int)

    factor = 4  # to 1280 pixels
    column, row = (factor * composed.measured.seen[0] + 1.5).round().astype(int)
    red = (drawn[row, :, 2] - drawn[row, :, :2].max(axis=1)) > 60
    assert red[column + 10 : column + factor * error_picture.EXAGGERATED * 2 - 10].mean() > 0.9  # other corners' marks lie on it


def test_overlay_png_lies_in_the_store_and_replaces_the_one_before(tmp_path: Path) -> None:
    first, second = (error_picture.save(off_by(by), tmp_path) for by in (1.0, 2.0))

    file = tmp_path / error_picture.FILE
    assert file.is_symlink() and file.read_bytes() == Store(tmp_path).read(second.hash)
    assert Store(tmp_path).read(first.hash) != file.read_bytes()
    assert (second.kind, second.media_type) == ("xr-overlay", "image/png")
