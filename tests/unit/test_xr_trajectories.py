"""Trajectories of others come into the bus's frame as they are, and what is none is refused by its line."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from turns import matrix, quaternions, vectors

from agents.parts.frames import Quaternion, Vector
from agents.parts.rigid import Rigid, angle_between, between, heading
from agents.xr.sources import reading, rows
from agents.xr.sources.axes import in_bus
from agents.xr.sources.euroc import read_euroc
from agents.xr.sources.placing import placed
from agents.xr.sources.reading import read
from agents.xr.sources.rows import BadTrajectory
from agents.xr.sources.trajectory import GAP, Axes, Trajectory
from agents.xr.sources.tum import parse, read_tum, write

SECOND = 1_000_000_000
ONE, TWO = "0.5 1 2 3 0 0 0 1\n", "1.5 2 2 3 0 0 0 1\n"
EUROC = "#timestamp [ns],x,y,z,qw,qx,qy,qz,vx\n1403715524907143168,1,2,3,0.5,-0.5,0.5,0.5,9\n1403715524912143104,1,2,3,0.5,-0.5,0.5,0.5,9\n"
ROOM: np.ndarray = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
"""A world with Z up, in the bus's axes."""
DEVICES: dict[Axes, np.ndarray] = {
    "optical": np.array([[1, 0, 0], [0, -1, 0], [0, 0, -1]]),
    "body": np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]]),
    "euroc": np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]]),
}
"""A device's axes as columns, in those that the bus gives it: right, up, back."""


def trajectory(*poses: tuple[int, Vector, Quaternion], axes: Axes = "bus") -> Trajectory:
    times, positions, orientations = zip(*poses, strict=True)
    return Trajectory(
        name="some",
        kind="recorded",
        axes=axes,
        times=np.array(times),
        positions=np.array(positions, float),
        orientations=np.array(orientations, float),
    )


def file_of(folder: Path, content: str, name: str = "some.txt") -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def test_the_times_and_numbers_of_tum_are_those_of_the_file() -> None:
    content = "# a comment\n\n1311868163.123456789 1 2 3 0 0 0.6 0.8\n1311868163.223456790 -1 2.5 3e-1 0 0 -0.6 0.8\n"

    found = read_tum(content.encode(), Path("some.txt"))

    assert found.times.tolist() == [0, 100_000_001]
    assert found.positions.tolist() == [[1, 2, 3], [-1, 2.5, 0.3]]
    assert found.orientations == pytest.approx(np.array([[0, 0, 0.6, 0.8], [0, 0, -0.6, 0.8]]))
    assert (found.name, found.kind, found.axes) == ("some", "recorded", "optical")


def test_euroc_says_its_quaternions_w_first() -> None:
    found = read_euroc(EUROC.encode(), Path("some.txt"))

    assert found.orientations[0].tolist() == [-0.5, 0.5, 0.5, 0.5]
    assert (found.times.tolist(), found.axes) == ([0, 4_999_936], "euroc")


@given(st.integers(0, 2**61), vectors, quaternions)
def test_a_line_of_ours_is_read_back(time: int, position: Vector, orientation: Quaternion) -> None:
    back = parse(write(time, position, orientation))

    assert back[0] == time
    assert back[1:] == pytest.approx((*position, *orientation), abs=1e-6)


def test_a_file_of_ours_says_its_axes_and_its_kind(tmp_path: Path) -> None:
    found = read(file_of(tmp_path, f"# kind: simulated\n# axes: bus\n{ONE}{TWO}"))

    assert (found.kind, found.positions.tolist()) == ("simulated", [[1, 2, 3], [2, 2, 3]])


@pytest.mark.parametrize("axes", ["optical", "body", "euroc"])
@given(place=vectors, turn=quaternions)
def test_a_pose_of_other_axes_is_the_same_pose(axes: Axes, place: Vector, turn: Quaternion) -> None:
    moved = in_bus(trajectory((0, place, turn), (1, place, turn), axes=axes)).pose(0)

    np.testing.assert_allclose(moved.position, ROOM @ place, atol=1e-9)
    np.testing.assert_allclose(matrix(moved.orientation), ROOM @ matrix(turn) @ DEVICES[axes].T, atol=1e-6)


@given(vectors, quaternions, quaternions, vectors)
def test_a_placed_trajectory_begins_there_and_looks_ahead(place: Vector, turn: Quaternion, later: Quaternion, start: Vector) -> None:
    before = trajectory((0, place, turn), (1, (0, 0, 0), later))

    after = placed(before, start)

    first = after.pose(0)
    assert first.position == pytest.approx(start, abs=1e-6)
    assert math.remainder(heading(first.orientation), math.tau) == pytest.approx(0, abs=1e-5)
    ways = [one.pose(0).inverse().then(one.pose(1)) for one in (before, after)]
    assert ways[1].position == pytest.approx(ways[0].position, abs=1e-6)
    assert angle_between(ways[0].orientation, ways[1].orientation) == pytest.approx(0, abs=1e-6)


def test_what_looks_straight_down_has_its_heading_from_its_top() -> None:
    down, up = ((-math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)), (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)))

    assert [heading(down), heading(up)] == pytest.approx([0, 0])


@given(quaternions, quaternions, st.integers(0, SECOND // 4))
def test_between_two_poses_it_is_on_the_way(a: Quaternion, b: Quaternion, time: int) -> None:
    some = trajectory((0, (0, 0, 0), a), (SECOND // 4, (1, 0, 0), b))

    assert some.at(time) == between(some.pose(0), some.pose(1), time / (SECOND // 4))


def test_before_and_after_it_is_where_it_was_first_and_last() -> None:
    some = trajectory((0, (0, 0, 0), (0, 0, 0, 1)), (10, (1, 0, 0), (0, 0, 0, 1)))

    assert [some.at(time).position[0] for time in (-5, 0, 5, 10, 99)] == [0, 0, 0.5, 1, 1]
    assert [some.is_known(time) for time in (-5, 0, 5, 10, 99)] == [False, True, True, True, False]


def test_nothing_is_known_in_a_gap() -> None:
    still: Quaternion = (0, 0, 0, 1)
    some = trajectory((0, (0, 0, 0), still), (GAP, (1, 0, 0), still), (2 * GAP + 1, (2, 0, 0), still))

    assert [some.is_known(time) for time in (GAP // 2, GAP, GAP + 5)] == [True, True, False]


def test_of_poses_of_one_time_the_first_counts(tmp_path: Path) -> None:
    found = read(file_of(tmp_path, f"# axes: bus\n{ONE}0.5 9 9 9 0 0 0 1\n{TWO}"))

    assert found.positions.tolist() == [[1, 2, 3], [2, 2, 3]]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("1 2 3", "want 8 numbers"),
        ("1.5 1 2 3 0 0 0 x", "could not convert"),
        ("1.5 1 nan 3 0 0 0 1", "finite"),
        ("1.5 1 2 inf 0 0 0 1", "finite"),
        ("nan 1 2 3 0 0 0 1", "a time in seconds"),
        ("1e999999 1 2 3 0 0 0 1", "a time in seconds"),
        ("abc 1 2 3 0 0 0 1", "a time in seconds"),
        ("0.4 1 2 3 0 0 0 1", "sort the lines"),
        ("1.5 1 2 3 0 0 0 0.5", "length of 0.5"),
        ("# axes: sideways", "one of bus, optical, body, euroc"),
        ("# kind: real", "one of recorded, simulated"),
    ],
)
def test_a_wrong_line_of_tum_is_named_with_what_to_do(tmp_path: Path, wrong: str, said: str) -> None:
    with pytest.raises(BadTrajectory, match=rf"line 2, .*{said}"):
        read(file_of(tmp_path, f"{ONE}{wrong}\n{TWO}"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("1,2,3", "want 8 numbers"),
        ("1.5,1,2,3,1,0,0,0", "invalid literal"),
        (f"{'9' * 5000},1,2,3,1,0,0,0", "digits"),
        (f"{2**63},1,2,3,1,0,0,0", "time"),
        ("1,1,2,3,0,0,0,0", "length of 0"),
    ],
)
def test_a_wrong_line_of_euroc_is_named(tmp_path: Path, wrong: str, said: str) -> None:
    with pytest.raises(BadTrajectory, match=rf"line 2, .*{said}"):
        read(file_of(tmp_path, f"0,1,2,3,1,0,0,0\n{wrong}\n"))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_a_trajectory_or_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.txt"
    file.write_bytes(ONE.encode() + content)

    try:
        assert len(read(str(file)).times) >= 2
    except BadTrajectory as error:
        assert "any" in str(error)


def test_too_few_and_too_many_poses_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadTrajectory, match="has 1 poses: want two"):
        read(file_of(tmp_path, ONE))

    monkeypatch.setattr(rows, "MOST_POSES", 1)
    with pytest.raises(BadTrajectory, match=r"line 2, .*at most 1 poses"):
        read(file_of(tmp_path, ONE + TWO))


def test_what_is_no_plain_file_or_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(rows, "MOST_BYTES", 20)

    for name, said in (("pipe", "no plain file"), ("nowhere", "cannot be read"), ("nul\0", "cannot be read")):
        with pytest.raises(BadTrajectory, match=said):
            read(str(tmp_path / name))
    with pytest.raises(BadTrajectory, match="more than the 20 bytes"):
        read(file_of(tmp_path, ONE + TWO))


def test_a_file_is_read_once_so_that_it_cannot_become_another_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once, opened = rows.read_bounded, []
    monkeypatch.setattr(rows, "read_bounded", lambda path, limit: opened.append(path) or once(path, limit))

    for name, content in (("some.txt", ONE + TWO), ("some.csv", EUROC)):
        read(file_of(tmp_path, content, name))

    assert [path.name for path in opened] == ["some.txt", "some.csv"]


def test_a_file_that_is_not_there_is_said_in_words_and_with_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(BadTrajectory, match=rf"^'{tmp_path}/nope.tum' cannot be read: No such file or directory$"):
        read("./nope.tum")


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(BadTrajectory, match=r"'desk\.tum': want one of desk, or the path of a file, with a slash: \./desk\.tum"):
        read("desk.tum")


def test_the_walk_around_the_desk_is_smooth_labelled_and_comes_back() -> None:
    walk = read("desk")

    speeds = np.linalg.norm(np.diff(walk.positions, axis=0), axis=1) / (np.diff(walk.times) / SECOND)
    turns = [angle_between(walk.pose(at).orientation, walk.pose(at + 1).orientation) for at in range(len(walk.times) - 1)]
    assert (walk.kind, walk.duration) == ("simulated", 20 * SECOND)
    assert 0.01 < speeds.max() < 0.5
    assert max(turns) < math.radians(3)
    assert walk.pose(0) == walk.pose(len(walk.times) - 1)
    assert (reading.SHIPPED / "desk.tum").stat().st_size < 100_000


def test_the_walk_around_the_desk_has_the_whole_board_in_view() -> None:
    walk, ahead = read("desk"), 1 / math.tan(math.radians(55) / 2)
    board = Rigid((0.0, 0.751, -4.0), (0.0, math.sin(0.075), 0.0, math.cos(0.075)))
    corners = [board.apply((x, 0.0, z)) for x in (-0.14, 0.14) for z in (-0.1, 0.1)]

    seen = np.array([walk.pose(at).inverse().apply(corner) for at in range(len(walk.times)) for corner in corners])
    away = np.linalg.norm(walk.positions - board.position, axis=1)
    assert (seen[:, 2] < 0).all()
    assert (np.abs(ahead * seen[:, :2] / seen[:, 2:]) < (1, 9 / 16)).all()
    assert 0.35 < away.min() < away.max() < 0.71


def test_who_asks_may_say_the_axes_of_a_file(tmp_path: Path) -> None:
    file = file_of(tmp_path, ONE + TWO)

    assert read(file, "bus").positions.tolist() == [[1, 2, 3], [2, 2, 3]]
    assert read(file).positions[0].tolist() == pytest.approx([1, 3, -2])
