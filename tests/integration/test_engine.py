"""Engine and bridge as the appliance starts them: what the bus moves is drawn, what is drawn is on the bus, and both come back."""

from __future__ import annotations

import itertools
import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import msgspec
import numpy as np
import psutil
import pytest
from conftest import Appliance, json_lines, wait_for

from agents.parts.remote_control import ACTORS, Batch, Call, Request
from bus.client import Client
from bus.errors import CommandRefused
from bus.topic import Topic
from schemas import engine, scene, system, ue5, xr

PATIENCE = 60.0
"""Seconds that a driver may take to compile, on a busy machine."""
SMALL = {
    "BUS_ENGINE_RENDERER": "software",
    "BUS_ENGINE_WIDTH": "160",
    "BUS_ENGINE_HEIGHT": "90",
    "BUS_ENGINE_BODIES": "5",
    "BUS_ENGINE_HTTP_PORT": "0",
    "BUS_ENGINE_WEBSOCKET_PORT": "0",
}


def first(client: Client, topic: Topic[Any], since: str | None = "10m") -> Any:  # Any: the topic's own struct
    return next(client.events(topic, since=since, timeout=PATIENCE)).data


def started(appliance: Appliance, *names: str, **settings: str) -> Client:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    appliance.start(*names, **SMALL, **settings)
    for name in names:
        appliance.wait_for_agent(client, name)
    first(client, engine.SERVING)
    return client


def driven(appliance: Appliance, **settings: str) -> Client:
    """An engine with a bridge that is connected to it."""
    client = started(appliance, "engine", "ue5", **settings)
    first(client, ue5.CONNECTED)
    return client


def whole(status: ue5.Status) -> ue5.Status | None:
    """The status, once everything in it was measured."""
    return status if status.rate and status.latency and status.load else None


def test_the_bridge_says_which_engine_it_drives_and_how_fast(appliance: Appliance) -> None:
    client = driven(appliance)

    status = wait_for(lambda: whole(client.call(ue5.STATUS, timeout=PATIENCE)), "a whole status")
    serving = client.call(engine.STATUS, timeout=PATIENCE).serving

    assert status.connected.engine == f"{engine.ENGINE} {serving.version}"
    assert (status.connected.embedded, status.connected.http, status.connected.websocket) == (True, serving.http, serving.websocket)
    assert status.connected.pid == appliance.child("engine").pid
    assert status.actors == client.call(engine.STATUS, timeout=PATIENCE).scene.actors
    assert status.rate > 0
    assert status.load.memory > 10 << 20
    tail = json_lines(appliance.bus("tail", "scene.", "--json", "--since", "10m", "--count", "2", "--timeout", "20").stdout)
    assert {line["topic"] for line in tail} <= {"scene.actors", "scene.frame"}
    assert len(tail) == 2


def test_a_camera_that_the_bus_moves_sees_something_else(appliance: Appliance) -> None:
    client = driven(appliance, BUS_ENGINE_PICTURE_HZ="20")
    before, room = picture(client)
    up = scene.CameraPose(camera="main", position=(0.0, 30.0, 0.0), orientation=(0.7071067811865476, 0.0, 0.0, 0.7071067811865476))

    client.publish(scene.CAMERA_POSE, up)
    after, sky = wait_for(lambda: taken_at(client, up.position), "a picture from there")

    assert before.position != pytest.approx(up.position, abs=1e-3)
    assert (after.engine, after.camera, after.intrinsics.width, after.intrinsics.height) == (engine.ENGINE, "main", 160, 90)
    assert sky.shape == room.shape == (90, 160, 3)
    assert room.std(axis=(0, 1)).max() > 5 > sky.std(axis=(0, 1)).max(), "above the room is nothing but one colour"


def picture(client: Client) -> tuple[engine.Picture, np.ndarray[Any, Any]]:
    """The next one that is published, decoded by OpenCV."""
    event = next(client.events(engine.PICTURE, timeout=PATIENCE))
    (jpeg,) = event.attachments
    return event.data, cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def taken_at(client: Client, position: scene.Vector) -> tuple[engine.Picture, np.ndarray[Any, Any]] | None:
    said, pixels = picture(client)
    return (said, pixels) if said.position == pytest.approx(position, abs=1e-6) else None


def test_what_is_seen_after_a_camera_was_moved_is_from_there(appliance: Appliance) -> None:
    client = driven(appliance)
    wanted = scene.View(cameras=[xr.CAMERA, xr.OVERLAY], layers=[xr.OVERLAY], rate=60.0)
    up = scene.CameraPose(camera=xr.OVERLAY, position=(0.0, 3.0, 0.0), orientation=(0.0, 0.0, 0.0, 1.0))
    events = client.events(ue5.APPLIED, engine.SEEN, timeout=PATIENCE)

    client.publish(scene.VIEW, wanted)
    client.publish(scene.CAMERA_POSE, up)
    applied = next(event.data for event in events if event.topic == ue5.APPLIED.name)
    client.publish(scene.VIEW, wanted)
    seen, (jpeg, png) = next((event.data, event.attachments) for event in events if placed_after(event.data, applied.applied))

    assert list(applied.cameras) == [xr.OVERLAY]
    stand_in, overlay = seen.pictures
    assert (stand_in.frame, stand_in.placed) == (overlay.frame, overlay.placed)
    assert overlay.position == pytest.approx(up.position, abs=1e-6)
    assert decoded(jpeg).shape == (90, 160, 3)
    assert decoded(png).shape == (90, 160, 4) and not decoded(png)[0, 0].any()


def placed_after(data: ue5.Applied | engine.Seen, moment: int) -> bool:
    return isinstance(data, engine.Seen) and all(picture.placed is not None and picture.placed > moment for picture in data.pictures)


def decoded(file: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED))


def test_a_killed_engine_is_told_and_everything_returns_by_itself(appliance: Appliance) -> None:
    client = driven(appliance)
    place = scene.CameraPose(camera="main", position=(1.0, 2.0, 3.0), orientation=(0.0, 0.0, 0.0, 1.0))
    client.publish(scene.CAMERA_POSE, place)
    wait_for(lambda: taken_at(client, place.position), "the move")
    news = client.events(ue5.DISCONNECTED, ue5.CONNECTED, timeout=PATIENCE)

    appliance.kill("engine")
    lost, back = itertools.islice(news, 2)

    assert isinstance(lost.data, ue5.Disconnected)
    assert isinstance(back.data, ue5.Connected)
    wait_for(lambda: taken_at(client, place.position), "the camera's place, sent again")
    assert appliance.bus("verify").returncode == 0


def test_the_scene_is_loaded_stopped_stepped_and_reset(appliance: Appliance, tmp_path: Path) -> None:
    client = started(appliance, "engine")
    falling = {"kind": "mesh", "label": "ball", "mesh": "/Engine/BasicShapes/Sphere.Sphere", "position": [0, 50, 0], "mass": 1}
    path = tmp_path / "ball.json"
    path.write_text(json.dumps({"name": "ball", "actors": [falling]}))

    loaded = client.call(engine.LOAD, engine.Load(path=str(path)), timeout=PATIENCE)
    begun = client.call(engine.STEP, engine.Step(frames=1), timeout=PATIENCE)
    later = client.call(engine.STEP, engine.Step(frames=60), timeout=PATIENCE)
    paused = client.call(engine.STATUS, timeout=PATIENCE).paused
    resumed = client.call(engine.RESUME, timeout=PATIENCE)
    reset = client.call(engine.RESET, timeout=PATIENCE)

    assert loaded == reset == engine.Scene(scene="ball", actors=1, bodies=1)
    assert later.time - begun.time == pytest.approx(1.0)
    assert paused
    assert resumed.time >= later.time
    assert not client.call(engine.STATUS, timeout=PATIENCE).paused


def test_a_mesh_that_the_engine_does_not_have_is_named_where_the_scene_is_loaded(appliance: Appliance, tmp_path: Path) -> None:
    client = started(appliance, "engine")
    path = tmp_path / "typing.json"
    path.write_text(json.dumps({"name": "typing", "actors": [{"kind": "mesh", "label": "ball", "mesh": "/Engine/Spere"}]}))

    loaded = client.call(engine.LOAD, engine.Load(path=str(path)), timeout=PATIENCE)

    assert loaded.unknown_meshes == ["/Engine/Spere"]
    assert [event.data for event in client.events(engine.LOADED, since="10m", timeout=1)][-1] == loaded


def test_without_a_passphrase_the_engine_opens_to_no_other_machine_and_says_which_setting_is_missing(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    appliance.connect()

    engine_ = appliance.process("engine", **{**SMALL, "BUS_ENGINE_HOST": "0.0.0.0"})

    assert engine_.wait(PATIENCE) == 1
    assert "engine.passphrase_file" in appliance.output("engine")
    assert "Traceback" not in appliance.output("engine")


def test_a_scene_that_is_none_is_refused_and_the_one_before_stays(appliance: Appliance, tmp_path: Path) -> None:
    client = started(appliance, "engine")
    before = client.call(engine.STATUS, timeout=PATIENCE).scene
    path = tmp_path / "broken.gltf"
    path.write_text('{"asset": {"version": "2.0"}, "buffers": [{"byteLength": 4, "uri": "/etc/passwd"}]}')

    with pytest.raises(CommandRefused) as refused:
        client.call(engine.LOAD, engine.Load(path=str(path)), timeout=PATIENCE)

    assert refused.value.code == "bad_scene"
    assert client.call(engine.STATUS, timeout=PATIENCE).scene == before


def test_a_recording_is_a_video_with_a_pose_for_each_picture_and_its_bytes_are_in_the_store(appliance: Appliance) -> None:
    client = started(appliance, "engine")

    client.call(engine.RECORD, engine.Record(camera="desk", seconds=0.5), timeout=PATIENCE)
    recorded = first(client, engine.RECORDED)

    folder = appliance.artifacts / recorded.path
    video = cv2.VideoCapture(str(folder / "video.avi"))
    pictures = sum(1 for _ in iter(lambda: video.read()[0], False))
    assert (recorded.frames, recorded.reason) == (pictures, None)
    assert len((folder / "poses.jsonl").read_text().splitlines()) == pictures > 0
    artifacts = {event.data.hash for event in client.events(system.ARTIFACT, since="10m", timeout=1)}
    assert {recorded.video, recorded.poses} == artifacts
    appliance.stop()
    assert appliance.bus("verify").returncode == 0


def test_a_recording_survives_the_end_of_the_engine(appliance: Appliance) -> None:
    client = started(appliance, "engine")
    client.call(engine.RECORD, engine.Record(camera="main", seconds=600), timeout=PATIENCE)
    first(client, engine.FRAME, since=None)

    appliance.child("engine").terminate()
    recorded = first(client, engine.RECORDED)

    video = cv2.VideoCapture(str(appliance.artifacts / recorded.path / "video.avi"))
    assert (recorded.frames, recorded.reason) == (video.get(cv2.CAP_PROP_FRAME_COUNT), None)
    assert recorded.frames > 0


def test_without_a_renderer_the_agent_stays_and_says_what_is_missing(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    nowhere = {"__EGL_VENDOR_LIBRARY_FILENAMES": "/nowhere.json", "LIBGL_DRIVERS_PATH": "/nowhere", "EGL_PLATFORM": "none"}
    appliance.start("engine", **{**SMALL, **nowhere, "BUS_ENGINE_RENDERER": "gl"})
    appliance.wait_for_agent(client, "engine")

    with pytest.raises(CommandRefused) as refused:
        client.call(engine.STATUS, timeout=PATIENCE)

    assert refused.value.code == "unavailable"
    assert "libegl1" in refused.value.message


@pytest.mark.timeout(300)
def test_ten_thousand_actors_that_come_and_go_leave_no_memory(appliance: Appliance) -> None:
    client = driven(appliance, BUS_UE5_EXPORT_AT_END="false")  # else the libraries of an export come while memory is counted
    serving = client.call(engine.STATUS, timeout=PATIENCE).serving
    connection = HTTPConnection(urlsplit(serving.http).netloc, timeout=PATIENCE)
    processes = [psutil.Process(appliance.child(name).pid) for name in ("engine", "ue5")]
    for _ in range(20):
        come_and_go(connection, 100)
    before = [process.memory_info().rss for process in processes]

    for _ in range(100):
        come_and_go(connection, 100)

    grown = [process.memory_info().rss - start for process, start in zip(processes, before, strict=True)]
    assert max(grown) < 24 << 20, grown
    assert client.call(ue5.STATUS, timeout=PATIENCE).connected is not None
    assert len(level(connection)) == client.call(engine.STATUS, timeout=PATIENCE).scene.actors


def level(connection: HTTPConnection) -> list[str]:
    """The paths of all actors, by Remote Control."""
    return put(connection, "/remote/object/call", Call(objectPath=ACTORS, functionName="GetAllLevelActors"))["ReturnValue"]


def come_and_go(connection: HTTPConnection, count: int) -> None:
    """Spawn so many cubes in one batch, and remove them in another one."""
    asset = {"ObjectToUse": "/Engine/BasicShapes/Cube.Cube", "Location": {"X": 0, "Y": 0, "Z": 500}}
    spawned = batch(connection, [Call(objectPath=ACTORS, functionName="SpawnActorFromObject", parameters=asset)] * count)
    removing = [{"ActorToDestroy": each["ReturnValue"]} for each in spawned]
    removed = batch(connection, [Call(objectPath=ACTORS, functionName="DestroyActor", parameters=each) for each in removing])
    assert [each["ReturnValue"] for each in removed] == [True] * count


def batch(connection: HTTPConnection, calls: list[Call]) -> list[dict[str, Any]]:
    requests = [Request(RequestId=n, URL="/remote/object/call", Verb="PUT", Body=call) for n, call in enumerate(calls)]
    answers = put(connection, "/remote/batch", Batch(Requests=requests))["Responses"]
    assert {answer["ResponseCode"] for answer in answers} == {200}, answers[:3]
    return [answer["ResponseBody"] for answer in answers]


def put(connection: HTTPConnection, url: str, body: msgspec.Struct) -> Any:  # JSON
    connection.request("PUT", url, msgspec.json.encode(body), {"Content-Type": "application/json"})
    return json.loads(connection.getresponse().read())
