"""The pose streamer in an appliance: a trajectory in place of a headset drives all of the loop, from the pose to the overlay's picture."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Appliance, wait_for

from bus.client import Client
from bus.errors import CommandRefused
from bus.event import Event
from bus.topic import Nothing, Topic
from schemas import cameras, system, xr

PORTS = {"BUS_ENGINE_HTTP_PORT": "0", "BUS_ENGINE_WEBSOCKET_PORT": "0", "BUS_XR_PORT": "0", "BUS_ENGINE_BODIES": "10"}
PATIENCE = 60.0


@pytest.fixture
def client(appliance: Appliance) -> Iterator[Client]:
    """An appliance with all that the loop takes."""
    appliance.start("hub", "recorder", "engine", "ue5", "xr", **PORTS)
    client = appliance.connect()
    appliance.wait_for_agent(client, "xr")
    yield client


def first(client: Client, topic: Topic[Any], wanted: Callable[[Any], bool] = lambda _: True) -> Event[Any]:
    """The first event of a topic that is as wanted."""
    deadline = time.monotonic() + PATIENCE
    for event in client.events(topic, since="5m", timeout=PATIENCE):
        if wanted(event.data):
            return event
        assert time.monotonic() < deadline, f"no {topic.name} was as wanted"
    return pytest.fail(f"no {topic.name} came")


def begun(client: Client, order: cameras.Calibrate) -> bool:
    """Whether the calibration could begin; where the scene is not known yet it cannot."""
    try:
        client.call(cameras.CALIBRATE, order, timeout=10)
    except CommandRefused as refused:
        assert refused.code == "no_board"
        return False
    return True


def page(status: xr.Status, path: str) -> str:
    with urllib.request.urlopen(f"{status.page}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def test_without_a_headset_the_agent_waits_and_its_page_is_served(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "xr", BUS_XR_PORT="0")
    client = appliance.connect()
    appliance.wait_for_agent(client, "xr")

    status = client.call(xr.STATUS, timeout=10)

    assert (status.tracked, status.sessions, status.lan) == ({}, [], None)
    assert status.page is not None
    assert "<title>" in page(status, "/")
    assert "waiting reason='no headset: open http://127.0.0.1" in appliance.output("xr")
    with pytest.raises(CommandRefused, match=r"set xr\.lan"):
        client.call(xr.PAIR, xr.Pair(), timeout=10)
    with pytest.raises(CommandRefused, match="the head is not tracked"):
        client.call(xr.RECENTER, Nothing(), timeout=10)


def test_a_trajectory_drives_the_loop_from_the_pose_to_the_overlay(appliance: Appliance, client: Client) -> None:
    replaying = client.call(xr.REPLAY, xr.Replay(trajectory="desk", loop=True), timeout=10)

    measured = first(client, xr.OVERLAID, lambda overlaid: None not in (overlaid.error, overlaid.sampled)).data
    latency = first(client, xr.LATENCY, lambda latency: any(stage.stage == "composed" for stage in latency.stages)).data
    status = client.call(xr.STATUS, timeout=10)
    kept = first(client, system.ARTIFACT, lambda artifact: artifact.kind == "xr-overlay").data

    assert replaying.kind == "simulated"
    assert (measured.kind, measured.camera) == ("simulated", "the engine's stand-in for a camera")
    assert measured.error < 10  # it moves, and what is drawn is predicted; test_xr_overlay_measuring has what it is without that
    assert measured.sampled < measured.drawn < measured.composed
    assert [stage.stage for stage in latency.stages] == ["received", "published", "applied", "drawn", "composed"]
    assert 0 < latency.horizon <= 0.1
    assert status.tracked.keys() == {"head"}
    assert (appliance.artifacts / kept.path).read_bytes().startswith(b"\x89PNG")
    assert "xr_stage_seconds" in page(status, "/metrics")


def test_the_end_of_a_trajectory_is_a_device_that_is_lost_and_never_a_frozen_pose(client: Client) -> None:
    client.call(xr.REPLAY, xr.Replay(trajectory="desk", speed=10), timeout=10)

    ended = first(client, xr.ENDED).data
    lost = first(client, xr.LOST).data

    assert (ended.reason, lost.device, lost.reason) == ("the trajectory is over", "head", "the trajectory is over")
    assert client.call(xr.STATUS, timeout=10).tracked == {}


def test_what_is_recorded_can_be_played_again(appliance: Appliance, client: Client) -> None:
    client.call(xr.REPLAY, xr.Replay(trajectory="desk", loop=True), timeout=10)
    first(client, xr.FOUND)
    client.call(xr.RECORD, xr.Record(seconds=1), timeout=10)
    recorded = first(client, xr.RECORDED).data

    again = client.call(xr.REPLAY, xr.Replay(trajectory=str(appliance.artifacts / recorded.path)), timeout=10)

    assert recorded.poses > 30
    assert (again.poses, again.kind) == (recorded.poses, "simulated")
    assert (appliance.artifacts / "wondercraft/xr_overlay/trajectory.png").read_bytes().startswith(b"\x89PNG")


def test_the_engines_camera_is_calibrated_by_views_of_its_board(appliance: Appliance, client: Client) -> None:
    wait_for(lambda: begun(client, cameras.Calibrate(views=12)), "a scene with a board")

    calibrated = first(client, cameras.CALIBRATED).data

    truth = 640 / 2 / 0.5205670505517462  # of 55 degrees: half of them have this tangent
    assert abs(calibrated.camera.intrinsics.fx / truth - 1) < 0.01
    assert (calibrated.kind, calibrated.rms < 0.5) == ("simulated", True)
    stored = json.loads((appliance.artifacts / "wondercraft/xr_overlay/calibration.json").read_text())
    assert stored["camera_matrix"]["data"][0] == calibrated.camera.intrinsics.fx
    assert client.call(xr.STATUS, timeout=10).overlay.calibration == calibrated.path


def test_bad_orders_are_refused_in_words(client: Client, tmp_path: Path) -> None:
    with pytest.raises(CommandRefused, match="there is no trajectory 'nowhere'"):
        client.call(xr.REPLAY, xr.Replay(trajectory="nowhere"), timeout=10)
    with pytest.raises(CommandRefused, match="there is no /dev/video63"):
        client.call(xr.OVERLAY_SET, xr.SetOverlay(device=63), timeout=10)
    client.call(cameras.CALIBRATE, cameras.Calibrate(source="files", path=str(tmp_path)), timeout=10)
    assert first(client, cameras.REFUSED).data.mend
