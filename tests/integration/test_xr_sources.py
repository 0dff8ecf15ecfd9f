"""Poses from outside: real trajectories as their makers mean them, OpenTrackIO by a real socket, and the picture of a recording."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from xr_trajectories import real_trajectories

from agents.parts.frames import rotate
from agents.ue5.tracking.sender import Sender
from agents.ue5.tracking.targets import Target, Targets
from agents.xr.observation import Observation
from agents.xr.recording.plot_process import draw
from agents.xr.sources.address import Address
from agents.xr.sources.opentrackio import Receiver, receive
from agents.xr.sources.reading import SHIPPED, read
from agents.xr.sources.trajectory import Trajectory
from schemas.scene import CameraPose

PATIENCE = 10.0
SECOND = 10**9


@pytest.fixture(scope="module")
def trajectories() -> Path:
    return real_trajectories()


def mean_of(trajectory: Trajectory, axis: tuple[float, float, float]) -> np.ndarray:
    """Where an axis of the device points on the whole, in the frame of the bus."""
    return np.mean([rotate(trajectory.pose(number).orientation, axis) for number in range(0, len(trajectory.times), 50)], axis=0)


def test_tum_s_poses_are_those_that_numpy_reads(trajectories: Path) -> None:
    file = trajectories / "freiburg1_xyz-groundtruth.txt"
    seconds, x, y, z, *_ = np.loadtxt(file).T

    found = read(str(file))

    assert (found.kind, len(found.times)) == ("recorded", 3000)
    np.testing.assert_allclose(found.times / SECOND, seconds - seconds[0], atol=1e-6)
    np.testing.assert_allclose(found.positions, np.stack([x, z, -y], axis=1), atol=1e-12)


def test_who_walked_around_the_desk_held_the_camera_upright_and_looked_down_at_it(trajectories: Path) -> None:
    walk = read(str(trajectories / "fr2_desk_groundtruth.txt"))

    right, up, ahead = (mean_of(walk, axis) for axis in ((1, 0, 0), (0, 1, 0), (0, 0, -1)))
    assert up[1] > 0.7
    assert ahead[1] < -0.4
    assert abs(right[1]) < 0.1
    middle = walk.positions.mean(axis=0)
    looks = [np.dot(rotate(walk.pose(at).orientation, (0, 0, -1)), middle - walk.positions[at]) > 0 for at in range(0, len(walk.times), 50)]
    assert np.mean(looks) > 0.9
    assert [walk.is_known(round(seconds * SECOND)) for seconds in (10.0, 38.0)] == [True, False]


def test_the_drone_of_euroc_flew_upright(trajectories: Path) -> None:
    file = trajectories / "V102_groundtruth.csv"
    flight = read(str(file))

    assert (flight.kind, len(flight.times)) == ("recorded", 16702)
    assert mean_of(flight, (0, 1, 0))[1] > 0.9
    np.testing.assert_allclose(flight.positions[:, 1], np.loadtxt(file, delimiter=",")[:, 3], atol=1e-9)


@pytest.mark.parametrize("encoding", ["json", "cbor"])
def test_poses_that_the_bridge_sends_are_received(encoding: str) -> None:
    sent = [CameraPose(camera="left", position=(number / 10, 1.5, -2.0), orientation=(0.0, 0.6, 0.0, 0.8)) for number in range(20)]

    seen, refused = asyncio.run(received(sent, encoding))

    assert [each.position for each in seen] == [pytest.approx(pose.position) for pose in sent]
    assert seen[0].orientation == pytest.approx((0.0, 0.6, 0.0, 0.8))
    assert [each.sequence for each in seen] == list(range(20))
    assert refused == {"no OpenTrackIO": 1}


async def received(sent: list[CameraPose], encoding: str) -> tuple[list[Observation], dict[str, int]]:
    """What is heard on loopback of these poses, and of one datagram of noise before."""
    seen: list[Observation] = []
    arrived = asyncio.Event()

    def take(observation: Observation) -> None:
        seen.append(observation)
        if len(seen) == len(sent):
            arrived.set()

    receiver = Receiver("head", take)
    transport = await receive(Address("127.0.0.1", 0), receiver)
    target = Target(host="127.0.0.1", port=transport.get_extra_info("sockname")[1], rate=1000)
    sender = Sender(Targets(opentrackio=target, encoding=encoding))  # type: ignore[arg-type] # it is one of the two
    try:
        async with asyncio.timeout(PATIENCE):
            await noise(target)
            for pose in sent:
                sender.send(pose, time.time_ns())
                await asyncio.sleep(0.002)
                sender.tick()
            await arrived.wait()
    finally:
        sender.close()
        transport.close()
    return seen, dict(receiver.refused)


async def noise(target: Target) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(target.host, target.port))
    transport.sendto(b"noise")
    transport.close()


def test_a_trajectory_is_drawn_by_a_process_of_its_own(tmp_path: Path) -> None:
    assert draw(SHIPPED / "desk.tum", tmp_path / "it.png", threading.Event()) is None

    picture = cv2.imread(str(tmp_path / "it.png"))
    assert picture is not None
    assert picture.shape == (672, 1200, 3)
    assert 0.002 < (picture.min(axis=2) < 200).mean() < 0.3  # lines and letters on white


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    (tmp_path / "it.tum").write_text("0 1 2 3\n")

    reason = draw(tmp_path / "it.tum", tmp_path / "it.png", threading.Event())

    assert reason is not None
    assert reason.startswith("BadTrajectory: ")
    assert not (tmp_path / "it.png").exists()


def test_who_ends_waits_for_no_picture(tmp_path: Path) -> None:
    cancelled = threading.Event()
    cancelled.set()

    assert draw(SHIPPED / "desk.tum", tmp_path / "it.png", cancelled) == "there was no time to draw it"
    assert not (tmp_path / "it.png").exists()
