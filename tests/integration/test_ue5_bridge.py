"""The bridge drives an engine that answers Remote Control, over real sockets: the embedded engine's own server, without a renderer."""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from remote_engine import CUBE, Drawing, furnished, serving

from agents.engine.world import Actor, Body, Looks, Transform, World
from agents.parts import frames
from agents.ue5.agent import Ue5
from agents.ue5.connection import discovery
from agents.ue5.connection.discovery import Address
from agents.ue5.settings import Ue5Settings
from bus.errors import CommandRefused
from bus.testing import Harness, run
from bus.topic import Nothing, Topic
from schemas import engine, scene, system, ue5

PATIENCE = 20.0
NOBODY = 1
"""A port where nobody listens."""
SECRET = "correct-horse-battery-staple"
TURNED = (0.0, math.sin(0.4), 0.0, math.cos(0.4))

Doing = Callable[[Harness[Ue5]], Awaitable[None]]


@pytest.fixture(autouse=True)
def no_unreal(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Unreal that somebody has open on this machine is none of these tests' business."""
    monkeypatch.setattr(discovery, "UNREAL", Address("127.0.0.1", NOBODY, NOBODY))


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(round(PATIENCE / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE} s in vain for {what}")


async def came(harness: Harness[Ue5], topic: Topic[Any], count: int = 1) -> Any:  # Any: the topic's own struct
    """The newest event of a topic, once there are so many."""
    await until(lambda: len(harness.published(topic)) >= count, f"{count} of {topic.name}")
    return harness.published(topic)[-1]


def served(address: Address) -> engine.Serving:
    """What the embedded engine says of itself."""
    return engine.Serving(
        engine=engine.ENGINE, version="1.10.16", renderer="software", driver="none", http=address.http_url, websocket=address.websocket_url
    )


async def connect(artifacts: Path, address: Address, doing: Doing, **settings: Any) -> None:  # Any: each setting's own
    """A bridge that heard of this engine, until `doing` is done."""
    harness = Harness(Ue5, artifacts, Ue5Settings(**{"export_at_end": False, **settings}))
    await harness.start()
    try:
        await harness.feed(engine.SERVING, served(address))
        await came(harness, ue5.CONNECTED)
        await until(lambda: harness.agent.watch is not None, "the watch")
        await doing(harness)
    finally:
        await harness.stop()


def driving(artifacts: Path, world: World, doing: Doing, studio: Drawing | None = None, **settings: Any) -> None:  # as above
    """A bridge that drives an engine with this level."""
    with serving(world, artifacts, studio) as address:
        run(connect(artifacts, address, doing, **settings))


def labelled(world: World, label: str) -> Actor:
    actor = world.labelled(label)
    assert actor is not None
    return actor


async def place(harness: Harness[Ue5], label: str, position: frames.Vector, **more: Any) -> None:  # as above
    await harness.feed(scene.ACTOR_POSE, scene.ActorPoses(actors=[scene.Placed(actor=label, position=position, **more)]))


def is_at(world: World, label: str, position: frames.Vector) -> Callable[[], bool]:
    return lambda: frames.from_unreal(labelled(world, label).transform.position) == pytest.approx(position, abs=1e-9)


def test_an_engine_that_is_announced_is_connected_to_and_its_level_told(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        connected = await came(harness, ue5.CONNECTED)
        assert (connected.engine, connected.embedded, connected.transport) == ("embedded-panda3d 1.10.16", True, "websocket")
        assert connected.pid == os.getpid()
        assert set(harness.agent.rates) == {"scene.frame", "ue5.latency"}
        level = await came(harness, scene.ACTORS)
        assert {(each.label, each.kind, each.mesh) for each in level.actors} == {
            ("main", "CameraActor", None), ("lamp", "PointLight", None), ("cube0", "StaticMeshActor", CUBE),
        }  # fmt: skip

    driving(tmp_path, furnished(1), body)


def test_a_pose_of_the_bus_is_where_the_engine_has_the_actor(tmp_path: Path) -> None:
    world = furnished()

    async def body(harness: Harness[Ue5]) -> None:
        await place(harness, "cube1", (1.0, 2.0, -3.0), orientation=TURNED, scale=(1.0, 2.0, 3.0))
        await until(is_at(world, "cube1", (1.0, 2.0, -3.0)), "the move")
        moved = labelled(world, "cube1").transform
        assert frames.rotation_from_unreal(moved.orientation) == pytest.approx(TURNED)
        assert moved.scale == pytest.approx((3.0, 1.0, 2.0))

    driving(tmp_path, world, body)


def test_a_move_without_scale_leaves_it_as_it_was(tmp_path: Path) -> None:
    world = furnished()
    world.move(labelled(world, "cube0"), Transform(scale=(2.0, 3.0, 4.0)))

    async def body(harness: Harness[Ue5]) -> None:
        await place(harness, "cube0", (0.0, 1.0, 0.0))
        await until(is_at(world, "cube0", (0.0, 1.0, 0.0)), "the move")
        assert labelled(world, "cube0").transform.scale == pytest.approx((2.0, 3.0, 4.0))

    driving(tmp_path, world, body)


def test_poses_of_one_moment_go_as_one_request(tmp_path: Path) -> None:
    world = furnished(200)

    async def body(harness: Harness[Ue5]) -> None:
        await harness.tick("measure")
        poses = [scene.Placed(actor=f"cube{number}", position=(float(number), 0.0, 0.0)) for number in range(200)]
        await harness.feed(scene.ACTOR_POSE, scene.ActorPoses(actors=poses))
        await until(lambda: world.moved >= 200, "the moves")
        await asyncio.sleep(0.05)
        await harness.tick("measure")
        latency = harness.published(ue5.LATENCY)[-1]
        assert (latency.moves, latency.failed, latency.requests) == (200, 0, 2)  # the other one asks for the frame count
        assert latency.event_p50 is not None

    driving(tmp_path, world, body)


def test_lights_and_cameras_change_by_what_is_said_of_them_alone(tmp_path: Path) -> None:
    world = furnished()

    async def body(harness: Harness[Ue5]) -> None:
        await harness.feed(scene.LIGHT, scene.Light(light="lamp", intensity=3.0, colour=(1.0, 0.0, 0.0)))
        pose = scene.CameraPose(camera="main", position=(0.0, 1.7, 2.0), orientation=TURNED, field_of_view=math.pi / 3)
        await harness.feed(scene.CAMERA_POSE, pose)
        await until(lambda: labelled(world, "main").looks.optics.field_of_view == pytest.approx(60.0), "the field of view")
        shine = labelled(world, "lamp").looks.shine
        assert shine is not None
        assert (shine.intensity, shine.colour[:3]) == (3.0, pytest.approx((1.0, 0.0, 0.0), abs=1e-3))
        assert labelled(world, "lamp").transform == Transform()
        assert is_at(world, "main", (0.0, 1.7, 2.0))()

    driving(tmp_path, world, body)


def test_an_actor_comes_by_its_label_and_goes_by_it_and_each_call_is_told(tmp_path: Path) -> None:
    world = furnished(0)

    async def body(harness: Harness[Ue5]) -> None:
        spawned = await harness.call(ue5.SPAWN, ue5.Spawn(label="crate", position=(1.0, 2.0, 3.0), scale=(1.0, 2.0, 1.0)))
        assert (spawned.label, labelled(world, "crate").looks.mesh) == ("crate", CUBE)
        assert is_at(world, "crate", (1.0, 2.0, 3.0))()
        await harness.tick("measure")
        assert "crate" in [each.label for each in harness.published(scene.ACTORS)[-1].actors]
        assert (await harness.call(ue5.REMOVE, ue5.Remove(label="crate"))).path == spawned.path
        assert world.labelled("crate") is None
        called = [each.what for each in harness.published(ue5.CALLED)]
        assert called == ["SpawnActorFromObject", "SetActorLabel", "K2_SetActorTransform", "DestroyActor"]

    driving(tmp_path, world, body)


def test_another_scene_of_the_embedded_engine_is_known_at_once(tmp_path: Path) -> None:
    world = furnished()

    async def body(harness: Harness[Ue5]) -> None:
        world.clear("yard")
        world.spawn("StaticMeshActor", Transform(), Looks(mesh=CUBE), "gnome")
        await harness.feed(engine.LOADED, engine.Scene(scene="yard", actors=1, bodies=0))
        assert (await harness.call(ue5.REMOVE, ue5.Remove(label="gnome"))).label == "gnome"

    driving(tmp_path, world, body)


def test_a_class_is_spawned_as_one(tmp_path: Path) -> None:
    world = furnished(0)

    async def body(harness: Harness[Ue5]) -> None:
        await harness.call(ue5.SPAWN, ue5.Spawn(label="sun", asset="/Script/Engine.DirectionalLight", orientation=TURNED))
        sun = labelled(world, "sun")
        assert sun.kind == "DirectionalLight"
        assert frames.rotation_from_unreal(sun.transform.orientation) == pytest.approx(TURNED)

    driving(tmp_path, world, body)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (ue5.Spawn(label="cube0"), "label_taken"),
        (ue5.Spawn(label="crate", asset="/Game/Not.Here"), "refused_by_engine"),
        (ue5.Remove(label="nobody"), "no_such_actor"),
        (ue5.Spawn(label="crate", orientation=(1.0, 1.0, 1.0, 1.0)), "bad_pose"),
        (ue5.Screenshot(camera="nobody"), "no_such_actor"),
    ],
)
def test_what_cannot_be_done_is_refused_by_a_code_and_changes_nothing(tmp_path: Path, request_: Any, code: str) -> None:  # as above
    world = furnished()
    command = {ue5.Spawn: ue5.SPAWN, ue5.Remove: ue5.REMOVE, ue5.Screenshot: ue5.SCREENSHOT}[type(request_)]

    async def body(harness: Harness[Ue5]) -> None:
        with pytest.raises(CommandRefused) as refused:
            await harness.call(command, request_)
        assert refused.value.code == code
        assert len(world.actors) == 5

    driving(tmp_path, world, body)


def test_the_same_requests_go_by_http_where_there_is_no_websocket(tmp_path: Path) -> None:
    world = furnished()

    async def body(harness: Harness[Ue5]) -> None:
        assert (await came(harness, ue5.CONNECTED)).transport == "http"
        await place(harness, "cube1", (5.0, 0.0, 0.0))
        await until(is_at(world, "cube1", (5.0, 0.0, 0.0)), "the move")
        found = await harness.call(ue5.PREFLIGHT, Nothing())
        assert [each.name for each in found.findings if not each.ok] == ["websocket"]
        assert harness.bus.states[-1][0] == "degraded"

    with serving(world, tmp_path) as address:
        run(connect(tmp_path, Address(address.host, address.http, NOBODY), body))


def test_an_engine_that_comes_back_is_put_where_everything_was_wanted_meanwhile(tmp_path: Path) -> None:
    first, second = furnished(), furnished()

    with ExitStack() as running:
        address = running.enter_context(serving(first, tmp_path))

        async def body(harness: Harness[Ue5]) -> None:
            await harness.feed(scene.LIGHT, scene.Light(light="lamp", intensity=7.0))
            await place(harness, "cube0", (1.0, 0.0, 0.0))
            await until(is_at(first, "cube0", (1.0, 0.0, 0.0)), "the first engine's move")
            await asyncio.to_thread(running.close)
            assert (await came(harness, ue5.DISCONNECTED)).engine == "embedded-panda3d 1.10.16"
            assert not harness.agent.rates
            await place(harness, "cube1", (2.0, 0.0, 0.0))
            running.enter_context(serving(second, tmp_path, at=address))
            await came(harness, ue5.CONNECTED, 2)
            await until(is_at(second, "cube1", (2.0, 0.0, 0.0)), "what was wanted while there was none")
            await until(is_at(second, "cube0", (1.0, 0.0, 0.0)), "what the first engine had been told")
            await until(lambda: labelled(second, "lamp").looks.shine.intensity == 7.0, "the light")

        run(connect(tmp_path, address, body))


def test_an_actor_that_somebody_else_brings_is_moved_once_the_level_is_read_again(tmp_path: Path) -> None:
    world = furnished(0)

    async def body(harness: Harness[Ue5]) -> None:
        await place(harness, "late", (4.0, 0.0, 0.0))
        await until(lambda: harness.agent.outbox.unknown, "the miss")
        world.spawn("StaticMeshActor", Transform(), Looks(mesh=CUBE), "late")
        await harness.tick("measure")
        await harness.tick("doubt")
        await until(is_at(world, "late", (4.0, 0.0, 0.0)), "the move")
        assert (await harness.call(ue5.STATUS, Nothing())).unknown == {}

    driving(tmp_path, world, body)


def test_an_actor_that_somebody_else_removes_is_found_out_by_its_moves(tmp_path: Path) -> None:
    world = furnished()

    async def body(harness: Harness[Ue5]) -> None:
        world.destroy(labelled(world, "cube2").name)
        await place(harness, "cube2", (1.0, 0.0, 0.0))
        await until(lambda: harness.agent.watch is not None and harness.agent.watch.session.stale, "the refusal")
        await harness.tick("measure")
        assert harness.published(ue5.LATENCY)[-1].failed == 1
        await harness.tick("doubt")
        assert "cube2" not in [each.label for each in harness.published(scene.ACTORS)[-1].actors]

    driving(tmp_path, world, body)


def test_frame_rate_and_status_are_those_of_the_engine(tmp_path: Path) -> None:
    world = furnished()

    async def body(harness: Harness[Ue5]) -> None:
        await harness.tick("measure")
        world.frame += 60
        await harness.tick("measure")
        frame = harness.published(scene.FRAME)[-1]
        assert (frame.engine, frame.count) == ("embedded-panda3d 1.10.16", 60)
        await harness.tick("weigh")
        status = await harness.call(ue5.STATUS, Nothing())
        assert status.connected is not None
        assert (status.rate, status.actors, status.load.pid) == (frame.rate, 5, os.getpid())
        assert status.latency == harness.published(ue5.LATENCY)[-1]

    driving(tmp_path, world, body)


def test_a_ready_engine_passes_the_preflight_which_changes_nothing_in_it(tmp_path: Path) -> None:
    world = furnished()
    world.spawn("StaticMeshActor", Transform(), Looks(mesh=CUBE, body=Body(mass=1.0)), "falling")

    async def body(harness: Harness[Ue5]) -> None:
        before = {name: (each.label, each.transform) for name, each in world.actors.items()}
        found = await harness.call(ue5.PREFLIGHT, Nothing())
        assert (found.ok, found.engine) == (True, "embedded-panda3d 1.10.16")
        assert {name: (each.label, each.transform) for name, each in world.actors.items()} == before
        assert world.moved == 0

    driving(tmp_path, world, body)


def test_a_picture_is_in_the_store_and_where_a_person_finds_it(tmp_path: Path) -> None:
    made = tmp_path / "made.png"
    Image.new("RGB", (64, 48)).save(made)
    studio = Drawing(made.read_bytes())

    async def body(harness: Harness[Ue5]) -> None:
        shot = await harness.call(ue5.SCREENSHOT, ue5.Screenshot(width=64, height=48, camera="main"))
        assert (shot.width, shot.height, studio.asked) == (64, 48, [("main", 64, 48)])
        (artifact,) = harness.published(system.ARTIFACT)
        assert (artifact.hash, artifact.media_type) == (shot.hash, "image/png")
        assert (tmp_path / artifact.path).read_bytes() == (tmp_path / shot.path).read_bytes() == studio.picture

    driving(tmp_path, furnished(), body, studio)


def test_a_picture_that_is_none_is_refused(tmp_path: Path) -> None:
    studio = Drawing(b"no picture at all" + b"\x00\x00\x00\x00IEND\xaeB`\x82")

    async def body(harness: Harness[Ue5]) -> None:
        with pytest.raises(CommandRefused, match="no PNG") as refused:
            await harness.call(ue5.SCREENSHOT, ue5.Screenshot())
        assert refused.value.code == "bad_picture"

    driving(tmp_path, furnished(), body, studio)


def test_an_engine_behind_a_passphrase_lets_in_who_has_it(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text(SECRET)

    async def body(harness: Harness[Ue5]) -> None:
        assert (await came(harness, ue5.CONNECTED)).transport == "websocket"

    with serving(furnished(), tmp_path, secret=SECRET) as address:
        run(connect(tmp_path, address, body, passphrase_file=str(file)))


def test_an_engine_behind_a_passphrase_that_is_wrong_is_a_finding(tmp_path: Path) -> None:
    async def body(address: Address) -> ue5.Preflight:
        harness = Harness(Ue5, tmp_path, Ue5Settings(address=str(address)))
        await harness.start()
        try:
            return await harness.call(ue5.PREFLIGHT, Nothing())
        finally:
            await harness.stop()

    with serving(furnished(), tmp_path, secret=SECRET) as address:
        found = run(body(address))
    assert [each.name for each in found.findings if not each.ok] == ["reachable", "passphrase"]


def test_another_address_by_command_is_another_engine(tmp_path: Path) -> None:
    other = furnished(0)

    async def body(harness: Harness[Ue5], address: Address) -> None:
        harness.agent.link.hear(served(address))
        status = await harness.call(ue5.CONNECT, ue5.Connect(address=None))
        assert status.connected is not None
        assert (status.connected.http, status.actors) == (address.http_url, 2)
        assert len(harness.published(ue5.DISCONNECTED)) == 1

    with serving(other, tmp_path) as second:
        driving(tmp_path, furnished(), lambda harness: body(harness, second))


def test_the_scene_is_exported_on_command_and_every_file_is_in_the_store(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        exported = await harness.call(ue5.EXPORT, Nothing())
        assert (exported.reason, exported.actors) == (None, 5)
        assert {"wondercraft/exports/scene.usda", "wondercraft/exports/scene.glb", "wondercraft/exports/scene.json"} <= set(exported.files)
        kept = [(tmp_path / each.path).read_bytes() for each in harness.published(system.ARTIFACT)]
        assert kept == [(tmp_path / each).read_bytes() for each in exported.files]

    driving(tmp_path, furnished(), body)


def test_a_bridge_that_ends_exports_what_it_saw_last(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        await asyncio.wait_for(harness.stop(), Ue5.stop_seconds)
        (exported,) = harness.published(ue5.EXPORTED)
        assert (exported.actors, exported.reason) == (5, None)
        kept = {each.path for each in harness.published(system.ARTIFACT)}
        assert kept == {file.relative_to(tmp_path).as_posix() for file in (tmp_path / "store").rglob("*") if file.is_file()}

    driving(tmp_path, furnished(), body, export_at_end=True)


def test_a_bridge_that_ends_says_that_it_lets_go_of_the_engine(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        await harness.stop()
        assert [each.reason for each in harness.published(ue5.DISCONNECTED)] == ["the bridge ends"]

    driving(tmp_path, furnished(), body)


def test_an_engine_that_goes_just_before_the_bridge_is_exported_once(tmp_path: Path) -> None:
    with ExitStack() as running:
        address = running.enter_context(serving(furnished(), tmp_path))

        async def body(harness: Harness[Ue5]) -> None:
            await asyncio.to_thread(running.close)
            await came(harness, ue5.DISCONNECTED)
            await asyncio.wait_for(harness.stop(), Ue5.stop_seconds)
            assert [each.reason for each in harness.published(ue5.EXPORTED)] == [None]

        run(connect(tmp_path, address, body, export_at_end=True))


def test_a_preflight_is_that_of_an_unreal_that_does_not_let_the_bridge_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        found = await harness.call(ue5.PREFLIGHT, Nothing())
        assert (found.address, [each.name for each in found.findings if not each.ok]) == (str(locked), ["reachable", "passphrase"])

    with serving(furnished(), tmp_path, secret=SECRET) as locked:
        monkeypatch.setattr(discovery, "UNREAL", locked)
        driving(tmp_path, furnished(), body)


def test_a_camera_that_moves_is_told_by_udp_whether_or_not_there_is_an_engine(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE)
        target = f"127.0.0.1:{receiver.getsockname()[1]}"

        async def live() -> dict[str, str]:
            harness = Harness(Ue5, tmp_path, Ue5Settings(freed=target))
            await harness.start()
            try:
                await harness.feed(scene.CAMERA_POSE, scene.CameraPose(camera="main", position=(1.0, 2.0, 3.0), orientation=TURNED))
                return (await harness.call(ue5.STATUS, Nothing())).tracking
            finally:
                await harness.stop()

        tracking = run(live())
        assert len(receiver.recv(2048)) == 29
    assert list(tracking) == ["freed"]
    assert target in tracking["freed"]
