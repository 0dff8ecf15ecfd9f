"""What the agent is made of that begins and ends things: the loop, what plays, calibrations. Called twice at once, cut off, and stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from agents.parts.rigid import Rigid, about_y
from agents.xr import calibrations as calibrations_module
from agents.xr import loop as loop_module
from agents.xr.calibration.errors import BadViews
from agents.xr.calibrations import Calibrations
from agents.xr.cameras.capture import CameraError
from agents.xr.loop import STAND_IN, Loop
from agents.xr.observation import Observation, Source
from agents.xr.playing import Playing
from agents.xr.tracking.tracker import Tracker
from bus.errors import CommandRefused
from schemas import cameras, scene, xr

HEADSET = Source(name="webxr-1", origin="webxr", kind="real")
NO_CAMERA = CameraError("there is no /dev/video63")


class Heard:
    """What was published, with or without a time of its own."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def __call__(self, topic: Any, data: Any, *, time: int | None = None, attachments: tuple[bytes, ...] = ()) -> str:
        self.events.append((topic.name, data))
        return f"test/{topic.name}/1/{len(self.events)}"

    def of(self, topic: Any) -> list[Any]:
        return [data for name, data in self.events if name == topic.name]


class OpenCamera:
    """Stands where a camera of this machine would be, which is not here."""

    def __init__(self) -> None:
        self.closed = False

    def latest(self) -> None:
        return None

    def close(self, timeout: float) -> bool:
        self.closed = True
        return True


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 20))


def seen(sampled: int, position: tuple[float, float, float] = (0.0, 1.6, 0.0), source: Source = HEADSET) -> Observation:
    return Observation(
        source=source, device="head", sequence=sampled, sampled=sampled, received=sampled, position=position, orientation=about_y(0.0)
    )


def overlay_threads() -> int:
    return sum(thread.name == "overlay" for thread in threading.enumerate())


def test_an_order_that_is_refused_leaves_the_overlay_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(device: int) -> None:
        raise NO_CAMERA

    async def work() -> xr.OverlayState:
        loop = Loop(Heard(), tmp_path)
        await loop.set(xr.SetOverlay(alpha=0.3))
        with pytest.raises(CameraError):
            await loop.set(xr.SetOverlay(device=63))
        return loop.state(None, is_calibrating=False)

    monkeypatch.setattr(loop_module, "opened", refuse)
    state = run(work())

    assert (state.camera, state.device, state.alpha) == (STAND_IN, None, 0.3)


def test_orders_and_looks_at_the_same_time_leave_no_thread_behind(tmp_path: Path) -> None:
    async def work() -> None:
        loop = Loop(Heard(), tmp_path)
        for number in range(10):
            await asyncio.gather(loop.set(xr.SetOverlay(alpha=number / 10)), loop.want(True), loop.want(True), loop.want(True))
        await loop.close()

    before = overlay_threads()
    run(work())

    assert overlay_threads() == before


def test_a_camera_whose_order_is_cut_off_is_closed_with_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = OpenCamera()

    async def opened(device: int) -> OpenCamera:
        return camera

    async def work() -> None:
        loop = Loop(Heard(), tmp_path)
        await loop.set(xr.SetOverlay(device=0))
        await loop.set(xr.SetOverlay(on=False))

    monkeypatch.setattr(loop_module, "opened", opened)
    run(work())

    assert camera.closed


def test_without_pictures_the_state_says_what_to_look_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> str | None:
        loop = Loop(Heard(), tmp_path)
        await loop.want(True)
        try:
            return loop.state(None, is_calibrating=False).reason
        finally:
            await loop.close()

    monkeypatch.setattr("agents.xr.shown.SILENT", -1.0)

    assert "see that engine and ue5 run" in str(run(work()))


def test_trajectories_that_are_asked_for_at_once_play_one_at_a_time() -> None:
    heard = Heard()

    async def work() -> int:
        playing = Playing(Tracker(heard), heard)
        await asyncio.gather(*(playing.play(xr.Replay(trajectory="desk", loop=True)) for _ in range(5)))
        tasks = [task for task in asyncio.all_tasks() if "Player.play" in str(task.get_coro())]
        await playing.stop("enough")
        return len(tasks)

    assert run(work()) == 1
    assert len(heard.of(xr.STARTED)) == len(heard.of(xr.ENDED)) == 5


def test_where_a_trajectory_truly_is_is_said_in_the_frame_of_the_poses() -> None:
    async def work() -> tuple[Rigid, Rigid | None]:
        tracker = Tracker(Heard())
        playing = Playing(tracker, Heard())
        await playing.play(xr.Replay(trajectory="desk", loop=True))
        await asyncio.sleep(0.1)
        tracker.recentre()
        await asyncio.sleep(0.1)
        latest = tracker.latest("head")
        assert latest is not None
        truth = playing.truth(latest.source)
        assert truth is not None
        await playing.stop("enough")
        return latest.place, truth(latest.sampled)

    place, true = run(work())

    assert true is not None
    assert true.position == pytest.approx(place.position, abs=1e-6)


def test_a_headset_that_speaks_for_the_head_is_not_where_a_trajectory_is() -> None:
    async def work() -> bool:
        playing = Playing(Tracker(Heard()), Heard())
        await playing.play(xr.Replay(trajectory="desk", loop=True))
        told = playing.truth(HEADSET) is None
        await playing.stop("enough")
        return told

    assert run(work())


@pytest.mark.parametrize("error", [BadViews("too dark", "light it"), ValueError("an accident")])
def test_a_calibration_that_fails_in_whatever_way_is_told_to_who_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: Any) -> None:
        raise error

    heard = Heard()

    async def work() -> None:
        calibrations = Calibrations(heard, tmp_path, Tracker(heard))
        await calibrations.begin(cameras.Calibrate(source="files", path=str(tmp_path)), lambda _: None)
        await asyncio.sleep(0.05)
        await calibrations.begin(cameras.Calibrate(source="files", path=str(tmp_path)), lambda _: None)
        await asyncio.sleep(0.05)

    monkeypatch.setattr(calibrations_module, "calibrate", fail)
    run(work())

    assert [str(error.args[0]).split(":")[0] in refused.reason for refused in heard.of(cameras.REFUSED)] == [True, True]


def test_a_second_calibration_is_refused_while_the_first_opens_its_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    camera, heard = OpenCamera(), Heard()

    async def opened(device: int) -> OpenCamera:
        await asyncio.sleep(0.05)
        return camera

    async def work() -> list[Any]:
        calibrations = Calibrations(heard, tmp_path, Tracker(heard))
        order = cameras.Calibrate(source="camera")
        both = await asyncio.gather(*(calibrations.begin(order, lambda _: None) for _ in range(2)), return_exceptions=True)
        await calibrations.stop()
        return both

    monkeypatch.setattr(calibrations_module, "opened", opened)
    first, second = run(work())

    assert isinstance(first, cameras.CalibrationBegun)
    assert isinstance(second, CommandRefused)
    assert second.code == "busy"
    assert camera.closed
    assert [refused.reason for refused in heard.of(cameras.REFUSED)] == ["the agent ends"]


def test_a_pose_moves_both_cameras_to_where_the_device_will_be(tmp_path: Path) -> None:
    heard = Heard()
    tracker = Tracker(heard)
    for number in range(20):
        tracker.take(seen(1_000_000_000 + number * 10_000_000, (0.01 * number, 1.6, 0.0)))
    latest = tracker.latest("head")
    assert latest is not None

    async def work() -> None:
        Loop(heard, tmp_path).follow(latest, lambda when: Rigid((9.0, 9.0, 9.0)))

    run(work())

    assert heard.of(scene.ACTOR_POSE)[0].actors[0].position == (9.0, 9.0, 9.0)
    assert heard.of(scene.CAMERA_POSE)[0].position == pytest.approx(latest.place.position)


def test_pictures_are_made_as_often_as_somebody_looks(tmp_path: Path) -> None:
    heard = Heard()

    async def work() -> None:
        loop = Loop(heard, tmp_path)
        await loop.want(True)
        looking = loop.broadcast.frames()
        first = asyncio.ensure_future(anext(looking))
        await asyncio.sleep(0)
        await loop.want(True)
        loop.broadcast.put(1, b"jpeg")
        await first
        await looking.aclose()
        await loop.want(True)
        await loop.close()

    run(work())

    assert [view.rate for view in heard.of(scene.VIEW)] == [2.0, 30.0, 2.0]
