"""Poses by real sockets, to receivers of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pythonosc.dispatcher import Dispatcher
from pythonosc.osc_server import BlockingOSCUDPServer
from tracking_readers import Tracked, read_d1, read_packet

from agents.ue5.tracking.sender import CAMERAS, Sender, open_socket
from agents.ue5.tracking.targets import Target, Targets
from schemas.scene import CameraPose

PATIENCE = 10.0
SELDOM = 0.001
NOW = 1_790_000_000 * 10**9


def pose(camera: str = "left", x: float = 1.0, **more: Any) -> CameraPose:
    return CameraPose(camera=camera, position=(x, 2.0, -3.0), orientation=(0.0, 0.0, 0.0, 1.0), **more)


@contextmanager
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(PATIENCE)
        yield bound


@contextmanager
def sending(**targets: Any) -> Iterator[Sender]:
    sender = Sender(Targets(**targets))
    try:
        yield sender
    finally:
        sender.close()


def at(receiver: socket.socket, rate: float = 1000) -> Target:
    return Target(host="127.0.0.1", port=receiver.getsockname()[1], rate=rate)


def free_port() -> int:
    with receiver() as bound:
        return int(bound.getsockname()[1])


def test_freed_arrives_with_the_cameras_number() -> None:
    with receiver() as there, sending(freed=at(there), cameras=("right", "left")) as sender:
        sender.send(pose("left"), NOW)

        message = read_d1(there.recv(2048))
        assert (message.camera, message.position) == (2, (1, 3, 2))


@pytest.mark.parametrize("encoding", ["json", "cbor"])
def test_opentrackio_arrives_from_one_source_for_each_camera(encoding: str) -> None:
    with receiver() as there, sending(opentrackio=at(there), encoding=encoding) as sender:
        for camera in ("left", "right"):
            sender.send(pose(camera, field_of_view=1.5), NOW)

        left, right = (read_packet(there.recv(2048)) for _ in range(2))
        assert (left.label, left.sample["sourceNumber"], left.position, left.time_ns) == ("left", 1, (1, 2, -3), NOW)
        assert left.field_of_view == pytest.approx(1.5)
        assert (right.label, right.sample["sourceNumber"]) == ("right", 2)
        assert left.sample["sourceId"] != right.sample["sourceId"]


def test_the_server_of_python_osc_has_every_value() -> None:
    said: dict[str, tuple[float, ...]] = {}
    dispatcher = Dispatcher()
    dispatcher.map("/zeropoint/camera/*", lambda address, *numbers: said.update({address: numbers}))
    with BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher, timeout=PATIENCE) as server, sending(osc=at(server.socket)) as sender:
        sender.send(pose("Left Eye", field_of_view=1.5), NOW)
        server.handle_request()

    where = "/zeropoint/camera/Left%20Eye"
    assert said == {f"{where}/position": (1, 2, -3), f"{where}/orientation": (0, 0, 0, 1), f"{where}/fov": (1.5,)}


def test_a_field_of_view_that_an_event_leaves_out_is_as_before() -> None:
    with receiver() as there, sending(opentrackio=at(there)) as sender:
        sender.send(pose(field_of_view=1.5), NOW)
        there.recv(2048)
        sender.send(pose(x=5.0), NOW + 10**9)
        sender.tick()

        assert newest(sender, there, 5.0).field_of_view == pytest.approx(1.5)


def newest(sender: Sender, there: socket.socket, x: float) -> Tracked:
    """The sample of the pose at `x`, once the rate lets it go."""
    there.settimeout(0.05)
    for _ in range(int(PATIENCE / 0.05)):
        sender.tick()
        try:
            received = read_packet(there.recv(2048))
        except TimeoutError:
            continue
        if received.position[0] == x:
            return received
    raise TimeoutError(f"no pose at {x}")


def test_of_many_poses_at_once_the_last_arrives() -> None:
    with receiver() as there, sending(opentrackio=at(there)) as sender:
        for count in range(200):
            sender.send(pose(x=float(count)), NOW + count)

        assert newest(sender, there, 199.0).time_ns == NOW + 199


def test_the_rate_is_each_cameras_own() -> None:
    with receiver() as there, sending(freed=at(there, SELDOM)) as sender:
        for _ in range(50):
            sender.send(pose("left"), NOW)
            sender.send(pose("right"), NOW)
        sender.tick()

        assert sender.targets["freed"].endswith("2 sent, 96 superseded")
        assert [read_d1(there.recv(2048)).camera for _ in range(2)] == [1, 2]


def test_a_receiver_that_is_not_there_is_no_error() -> None:
    absent = Target(host="127.0.0.1", port=free_port(), rate=1000)
    with receiver() as there, sending(freed=absent, osc=absent, opentrackio=at(there, SELDOM)) as sender:
        for count in range(20):
            sender.send(pose(f"camera-{count}"), NOW)

        assert all(read_packet(there.recv(2048)) for _ in range(20))


def test_a_pose_that_one_protocol_cannot_say_goes_by_the_others() -> None:
    with receiver() as there, sending(freed=at(there), opentrackio=at(there)) as sender:
        sender.send(pose(x=1e6), NOW)

        assert read_packet(there.recv(2048)).position[0] == 1e6
        assert "0 sent, 1 refused; " in sender.targets["freed"]
        assert "FreeD reaches 131.072 m" in sender.targets["freed"]


def test_an_address_that_the_system_refuses_is_counted_and_said() -> None:
    broadcast = Target(host="127.255.255.255", port=free_port(), rate=1000)
    with sending(osc=broadcast) as sender:
        sender.send(pose(), NOW)

        assert sender.targets["osc"].startswith(f"{broadcast}, 0 sent, 1 failed; ")


def test_cameras_beyond_the_last_number_are_refused_and_bound_what_is_kept() -> None:
    with receiver() as there, sending(osc=at(there, SELDOM)) as sender:
        for count in range(CAMERAS + 50):
            sender.send(pose(f"camera-{count}", field_of_view=1.0), NOW)

        assert f"{CAMERAS} sent, 50 refused" in sender.targets["osc"]


def test_without_a_target_nothing_is_sent() -> None:
    with sending() as sender:
        sender.send(pose(), NOW)
        sender.tick()

        assert sender.targets == {}


def test_multicast_stays_in_the_local_network_and_reaches_this_machine() -> None:
    with open_socket() as opened:
        assert opened.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 1
        assert opened.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 1
        assert not opened.getblocking()
