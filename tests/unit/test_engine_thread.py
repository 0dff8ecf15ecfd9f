"""The engine's thread: what it gives out, what can be asked of it, and how it ends."""

from __future__ import annotations

import itertools
import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from drawn import trouble
from msgspec.structs import replace

from agents.engine import engine as engine_module
from agents.engine.engine import Busy, Engine
from agents.engine.orders import Ended
from agents.engine.render.pipes import NoRenderer
from agents.engine.render.studio import NoSuchCamera
from agents.engine.reports import Options
from agents.engine.scenes.loading import default
from agents.engine.world import Transform, World
from agents.parts.frames import from_unreal
from schemas.engine import Frame, Picture, Renderer, Seen
from schemas.scene import View

PATIENCE = 60.0
VideoWriter = cv2.VideoWriter
BODIES = 20
OPTIONS = Options(width=160, height=90, cameras=("main", "desk", "absent"), picture_hz=20.0)


class Running:
    """An engine that shows the default scene, and all that it says."""

    def __init__(self, renderer: Renderer = "software") -> None:
        self.world = World()
        self.frames: queue.Queue[Frame] = queue.Queue()
        self.pictures: queue.Queue[tuple[Picture, bytes]] = queue.Queue()
        self.seen: queue.Queue[tuple[Seen, tuple[bytes, ...]]] = queue.Queue()
        self.failures: queue.Queue[Exception] = queue.Queue()
        self.fault: Exception | None = None
        self.engine = Engine(self.world, replace(OPTIONS, renderer=renderer), self.frames.put, self._take, self._see, self.failures.put)
        self.drawing = self.engine.start(PATIENCE)
        self.counts = self.engine.load(default(BODIES)).result(PATIENCE)

    def _see(self, seen: Seen, files: tuple[bytes, ...]) -> None:
        self.seen.put((seen, files))

    def _take(self, picture: Picture, jpeg: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.pictures.put((picture, jpeg))


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    yield running
    running.engine.stop(PATIENCE)


def test_it_says_what_draws_and_what_the_scene_has(running: Running) -> None:
    assert running.drawing.renderer == "software"
    assert "p3tinydisplay" in running.drawing.driver
    assert running.counts.actors == len(running.world.actors)
    assert running.counts.bodies >= BODIES


def test_each_second_it_says_how_fast_it_draws(running: Running) -> None:
    stats = running.frames.get(timeout=PATIENCE)
    assert stats.rate > 0
    assert 0 < stats.draw_time < stats.frame_time <= stats.frame_time_p99
    assert 0 < stats.draw_calls <= stats.actors


def test_each_camera_gets_its_turn_and_one_that_is_absent_has_no_pictures(running: Running) -> None:
    taken = [running.pictures.get(timeout=PATIENCE) for _ in range(6)]
    assert {picture.camera for picture, _ in taken} == {"main", "desk"}
    decoded = cv2.imdecode(np.frombuffer(taken[0][1], np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (OPTIONS.height, OPTIONS.width, 3)


def test_a_view_that_is_wanted_comes_at_once_with_a_file_for_each_camera(running: Running) -> None:
    running.engine.want("xr", View(cameras=["desk", "absent", "main"], layers=["main"]))
    seen, files = running.seen.get(timeout=PATIENCE)

    assert [(picture.camera, picture.layer) for picture in seen.pictures] == [("desk", False), ("main", True)]
    assert [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED).shape[2] for file in files] == [3, 4]
    assert seen.attachments == ("image/jpeg", "image/png")


def test_steps_that_are_ordered_are_taken_exactly_and_then_time_stands(running: Running) -> None:
    _, before = running.engine.step(1).result(PATIENCE)
    frame, after = running.engine.step(120).result(PATIENCE)
    later, still = running.engine.resume().result(PATIENCE)

    assert after - before == pytest.approx(2.0)
    assert still == after
    assert later > frame
    assert not running.engine.paused


def test_another_scene_begins_at_time_zero_without_the_actors_of_the_first(running: Running) -> None:
    running.engine.step(60).result(PATIENCE)
    counts = running.engine.load(default(1)).result(PATIENCE)
    assert counts.actors == len(running.world.actors) == running.counts.actors - BODIES + 1
    assert running.world.time == 0.0


def test_a_scene_that_is_loaded_again_goes_on_as_before_to_the_last_bit(running: Running) -> None:
    running.engine.step(1).result(PATIENCE)

    def after_six_seconds() -> dict[str, Transform]:
        running.engine.load(default(BODIES)).result(PATIENCE)
        running.engine.step(360).result(PATIENCE)
        return {actor.label: actor.transform for actor in running.world.actors.values()}

    assert after_six_seconds() == after_six_seconds() == after_six_seconds()


def test_a_screenshot_is_a_png_of_the_size_that_was_asked_for(running: Running) -> None:
    picture = cv2.imdecode(np.frombuffer(running.engine.screenshot("desk", 200, 100).result(PATIENCE), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (100, 200, 3)


def test_opengl_draws_on_the_engine_s_thread_too() -> None:
    if (reason := trouble()) is not None:
        pytest.skip(f"this needs libegl1, libegl-mesa0 and libgl1-mesa-dri: {reason}")
    running = Running("gl")
    picture = cv2.imdecode(np.frombuffer(running.engine.screenshot("desk", 200, 100).result(PATIENCE), np.uint8), cv2.IMREAD_COLOR)
    running.engine.stop(PATIENCE)

    assert running.drawing.renderer == "gl"
    assert "p3tinydisplay" not in running.drawing.driver
    assert picture.min() < 20  # the board's black
    assert picture.max() > 230  # and its white


def test_what_cannot_be_photographed_is_refused(running: Running) -> None:
    with pytest.raises(ValueError, match="a screenshot of 5000x100 pixels: want 1 to 4096 each way"):
        running.engine.screenshot(None, 5000, 100)
    with pytest.raises(NoSuchCamera):
        running.engine.screenshot("attic", 100, 100).result(PATIENCE)


def test_opencv_reads_a_recording_back_and_its_poses_are_those_of_the_camera(running: Running, tmp_path: Path) -> None:
    recorded = running.engine.record("desk", 0.5, tmp_path).result(PATIENCE)

    poses = [msgspec.json.decode(line) for line in recorded.poses.read_bytes().splitlines()]
    frames = [pose["frame"] for pose in poses]
    assert recorded.frames == len(poses) == read_frames(recorded.video) == 15
    assert [after - before for before, after in itertools.pairwise(frames)] == [2] * 14
    desk = running.world.labelled("desk")
    assert desk is not None
    assert poses[0]["position"] == pytest.approx(from_unreal(desk.transform.position))


def read_frames(video: Path) -> int:
    reader = cv2.VideoCapture(str(video))
    count = 0
    while True:
        there, pixels = reader.read()
        if not there:
            return count
        assert pixels.shape == (OPTIONS.height, OPTIONS.width, 3)
        count += 1


def test_recordings_that_cannot_be_made_say_why(running: Running, tmp_path: Path) -> None:
    first = running.engine.record("main", 600, tmp_path)
    with pytest.raises(Busy, match="a recording is being made"):
        running.engine.record("main", 1, tmp_path).result(PATIENCE)
    running.engine.stop(PATIENCE)
    assert first.result(PATIENCE).frames > 0


def test_a_recording_into_a_folder_that_is_not_there_fails_and_the_engine_goes_on(running: Running, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is its folder there"):
        running.engine.record("main", 0.1, tmp_path / "absent").result(PATIENCE)
    assert running.engine.screenshot("main", 10, 10).result(PATIENCE)


class Tired:
    """Writes as to a disk that is full after three pictures: it says nothing. (OpenCV's own class bears no subclass.)"""

    def __init__(self, *arguments: Any) -> None:  # Any: what OpenCV takes
        self.writer, self.written = VideoWriter(*arguments), 0
        self.isOpened, self.release = self.writer.isOpened, self.writer.release

    def write(self, image: cv2.typing.MatLike) -> None:
        self.written += 1
        if self.written <= 3:
            self.writer.write(image)


class Broken(Tired):
    def write(self, image: cv2.typing.MatLike) -> None:
        raise OSError("the disk has gone")


def test_a_recording_that_the_disk_did_not_take_whole_fails(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoWriter", Tired)

    with pytest.raises(OSError, match=r"15 pictures were written to .*, and its index has 3: is the disk full\?"):
        running.engine.record("desk", 0.5, tmp_path).result(PATIENCE)


def test_after_a_recording_that_broke_another_one_can_be_made(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoWriter", Broken)
        with pytest.raises(OSError, match="the disk has gone"):
            running.engine.record("desk", 600, tmp_path).result(PATIENCE)
    running.engine.screenshot("main", 10, 10).result(PATIENCE)  # and so there was another frame
    running.engine.screenshot("main", 10, 10).result(PATIENCE)

    assert running.engine.record("desk", 0.1, tmp_path).result(PATIENCE).frames == 3


def test_what_is_asked_of_an_engine_that_has_stopped_fails(running: Running) -> None:
    steps = running.engine.step(100_000)
    running.engine.screenshot("main", 10, 10).result(PATIENCE)  # and so the steps have begun
    running.engine.stop(PATIENCE)
    for future in (steps, running.engine.resume()):
        with pytest.raises(Ended, match="the engine has stopped"):
            future.result(PATIENCE)


def test_a_fault_in_a_frame_ends_the_engine_loudly(running: Running) -> None:
    running.fault = RuntimeError("no room")
    assert str(running.failures.get(timeout=PATIENCE)) == "no room"
    with pytest.raises(Ended, match="the engine has failed: RuntimeError\\('no room'\\)"):
        running.engine.step(1).result(PATIENCE)


def test_threads_switch_often_only_while_it_runs() -> None:
    before = sys.getswitchinterval()
    running = Running()
    during = sys.getswitchinterval()
    running.engine.stop(PATIENCE)
    assert during < before == sys.getswitchinterval()


def test_an_engine_without_a_renderer_says_so_to_who_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(wanted: str, stopping: threading.Event) -> None:
        raise NoRenderer("nothing draws")

    monkeypatch.setattr(engine_module, "choose", refused)
    engine = Engine(World(), OPTIONS, print, print, print, print)
    with pytest.raises(NoRenderer, match="nothing draws"):
        engine.start(PATIENCE)


def test_an_engine_whose_driver_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = threading.Event()
    monkeypatch.setattr(engine_module, "choose", lambda wanted, stopping: hung.wait(PATIENCE))
    engine = Engine(World(), OPTIONS, print, print, print, lambda error: None)
    with pytest.raises(NoRenderer, match=r"the engine drew nothing in 0\.01 s"):
        engine.start(0.01)
    hung.set()
    engine.stop(PATIENCE)


def test_a_caller_that_waits_no_more_costs_the_engine_nothing(running: Running) -> None:
    futures: list[Future[bytes]] = [running.engine.screenshot("main", 10, 10) for _ in range(50)]
    for future in futures:
        future.cancel()
    assert running.engine.screenshot("main", 10, 10).result(PATIENCE)
    assert running.failures.empty()
