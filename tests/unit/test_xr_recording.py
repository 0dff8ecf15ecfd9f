"""A recording is a trajectory that can be played again, with its kind on it."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from turns import quaternions, vectors

from agents.parts.frames import Quaternion, Vector
from agents.xr.recording import files, plot_process, poses, recording
from agents.xr.recording.files import PLOT, finish
from agents.xr.recording.poses import Poses
from agents.xr.recording.recording import Recorder
from agents.xr.sources.reading import read
from bus.errors import CommandRefused
from bus.topic import Topic
from schemas import system, xr
from schemas.xr import HEAD, Kind, Pose

BEGAN = 1_790_000_000 * 10**9
SECOND = 10**9
PATIENCE = 10.0
ASKED = xr.Record(seconds=10)


def pose(x: float = 0.0, kind: Kind = "real", position: Vector | None = None, orientation: Quaternion = (0.0, 0.0, 0.0, 1.0)) -> Pose:
    return Pose(
        origin="webxr",
        kind=kind,
        sequence=1,
        position=position or (x, 1.5, 0.0),
        orientation=orientation,
        tracking="tracked",
        received=BEGAN,
        published=BEGAN,
    )


def taken(*seen: tuple[int, Pose]) -> Poses:
    collected = Poses(ASKED, BEGAN)
    for after, each in seen:
        collected.take("head", each, BEGAN + after)
    return collected


def some() -> Poses:
    return taken((0, pose(1.0)), (SECOND, pose(2.0)))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is drawn, without that being done."""
    asked: list[Path] = []

    def draw(trajectory: Path, picture: Path, cancelled: threading.Event) -> str | None:
        asked.append(trajectory)
        picture.write_bytes(trajectory.read_bytes())
        return "there was no time to draw it" if cancelled.is_set() else None

    monkeypatch.setattr(files, "draw", draw)
    return asked


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10**8), vectors, quaternions), min_size=2, max_size=20))
def test_what_was_recorded_is_read_back(tmp_path_factory: pytest.TempPathFactory, seen: list[tuple[int, Vector, Quaternion]]) -> None:
    collected, time = Poses(ASKED, BEGAN), BEGAN
    for later, position, orientation in seen:
        time += later
        collected.take("head", pose(position=position, orientation=orientation), time)
    file = tmp_path_factory.getbasetemp() / "recorded.tum"
    file.write_bytes(collected.tum())

    back = read(str(file))

    assert back.times.tolist() == [sum(later for later, _, _ in seen[1 : number + 1]) for number in range(len(seen))]
    for number, (_, position, orientation) in enumerate(seen):
        assert back.positions[number] == pytest.approx(position, abs=1e-6)
        assert back.orientations[number] == pytest.approx(orientation, abs=2e-6)


@pytest.mark.parametrize(("kinds", "kind"), [(["real"], "recorded"), (["recorded"], "recorded"), (["real", "simulated"], "simulated")])
def test_one_simulated_pose_makes_it_simulated(tmp_path: Path, kinds: list[Kind], kind: str) -> None:
    (tmp_path / "it.tum").write_bytes(taken((0, pose()), *((number + 1, pose(kind=each)) for number, each in enumerate(kinds))).tum())

    assert read(str(tmp_path / "it.tum")).kind == kind


def test_only_the_device_and_the_time_that_were_asked_for_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    collected = taken((-1, pose()), (5, pose()), (5, pose()), (4, pose()), (6, pose()), (10 * SECOND + 1, pose()))
    collected.take("hand.left", pose(), BEGAN + 7)
    assert collected.count == 2

    monkeypatch.setattr(poses, "MOST_POSES", 2)
    collected.take("head", pose(), BEGAN + 8)
    assert (collected.count, collected.seconds) == (2, 1e-9)


def test_the_files_are_kept_and_the_picture_comes_from_the_trajectory(tmp_path: Path, drawn: list[Path]) -> None:
    kept = finish(tmp_path, some(), threading.Event())

    said = kept.recorded
    assert (said.device, said.poses, said.seconds, said.plot, said.reason) == ("head", 2, 1.0, PLOT, None)
    assert said.path == "wondercraft/xr_overlay/recordings/head-20260921T141320.000000Z.tum"
    assert drawn == [tmp_path / said.path]
    trajectory, plot = kept.artifacts
    assert (trajectory.kind, plot.kind, plot.parents) == ("trajectory", "trajectory-plot", [trajectory.hash])
    assert (tmp_path / said.path).resolve() == tmp_path / trajectory.path
    assert (tmp_path / PLOT).resolve() == tmp_path / plot.path


def test_another_picture_leaves_the_one_before_in_the_store(tmp_path: Path, drawn: list[Path]) -> None:
    first = finish(tmp_path, some(), threading.Event()).artifacts[1]
    before = (tmp_path / first.path).read_bytes()

    second = finish(tmp_path, taken((0, pose(5.0)), (9, pose(6.0))), threading.Event()).artifacts[1]

    assert (tmp_path / first.path).read_bytes() == before
    assert (tmp_path / PLOT).resolve() == tmp_path / second.path
    assert len(drawn) == 2


def test_without_poses_there_is_no_file_but_a_reason(tmp_path: Path) -> None:
    said = finish(tmp_path, taken((0, pose())), threading.Event())

    assert (said.recorded.path, said.recorded.reason, said.artifacts) == (None, "1 poses of head came in 10 s: is it tracked?", [])
    assert list(tmp_path.iterdir()) == []


Said = list[tuple[str, Any]]  # Any: the struct of each topic


def recorder(tmp_path: Path, over: asyncio.Event | None = None) -> tuple[Recorder, Said]:
    """One, and what it says; `over` is set once it says that a recording is."""
    said: Said = []

    def publish(topic: Topic[Any], data: Any, *, run: str | None = None) -> str:  # Any: as above
        said.append((topic.name, data))
        if over is not None and topic is xr.RECORDED:
            over.set()
        return topic.name

    return Recorder(publish, tmp_path), said


def test_a_recording_says_its_files_and_then_that_it_is_over(tmp_path: Path, drawn: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "LAST_SECONDS", 0.01)
    over = asyncio.Event()
    there, said = recorder(tmp_path, over)

    async def record() -> None:
        assert there.begin(xr.Record(seconds=0.05)) == xr.Recording(device="head", seconds=0.05)
        for _ in range(3):
            there.take(HEAD.name.removeprefix("xr.pose."), pose(), time.time_ns())
        async with asyncio.timeout(PATIENCE):
            await over.wait()
        there.take("head", pose(), time.time_ns())

    asyncio.run(record())

    assert [topic for topic, _ in said] == [system.ARTIFACT.name, system.ARTIFACT.name, xr.RECORDED.name]
    assert (said[-1][1].poses, len(drawn)) == (3, 1)


def test_while_one_is_recorded_another_is_refused(tmp_path: Path, drawn: list[Path]) -> None:
    there, said = recorder(tmp_path)

    async def record() -> None:
        there.begin(xr.Record(seconds=60))
        with pytest.raises(CommandRefused, match=r"wait for xr\.recorded"):
            there.begin(xr.Record(seconds=1))
        await there.stop()

    asyncio.run(record())
    assert (len(said), drawn) == (1, [])


def test_an_agent_that_ends_keeps_what_was_recorded_until_then(tmp_path: Path, drawn: list[Path]) -> None:
    there, said = recorder(tmp_path)

    async def record() -> None:
        there.begin(xr.Record(seconds=60))
        for _ in range(2):
            there.take("head", pose(), time.time_ns())
        async with asyncio.timeout(PATIENCE):
            await there.stop()

    asyncio.run(record())

    over = said[-1][1]
    assert (over.poses, over.plot, over.reason, len(said)) == (2, None, "there was no time to draw it", 2)
    assert (tmp_path / over.path).is_file()


class Undying:
    """A process that nobody can end, not even by killing it."""

    pid = 4711

    def __init__(self, *command: object, **streams: object) -> None: ...

    def poll(self) -> int | None:
        return None

    def kill(self) -> None: ...

    def wait(self, timeout: float) -> int:
        raise subprocess.TimeoutExpired("plot", timeout)


def test_a_process_that_draws_and_cannot_be_ended_is_said_and_the_recording_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot_process.subprocess, "Popen", Undying)
    there, said = recorder(tmp_path)

    async def record() -> None:
        there.begin(xr.Record(seconds=60))
        for _ in range(2):
            there.take("head", pose(), time.time_ns())
        await there.stop()

    asyncio.run(record())

    over = said[-1][1]
    assert (over.poses, over.plot) == (2, None)
    assert "process 4711, which was killed, does not end" in over.reason


def test_poses_become_lines_while_they_come_not_when_the_agent_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[int] = []
    monkeypatch.setattr(poses, "write", lambda time, *_: f"{lines.append(time)}\n")

    collected = some()

    assert lines == [BEGAN, BEGAN + SECOND]
    collected.tum()
    assert len(lines) == 2


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path, drawn: list[Path]) -> None:
    (tmp_path / "wondercraft").write_text("in the way")
    there, said = recorder(tmp_path)

    async def record() -> None:
        there.begin(xr.Record(seconds=60))
        for _ in range(2):
            there.take("head", pose(), time.time_ns())
        await there.stop()

    asyncio.run(record())

    ((_, over),) = said
    assert over.path is None
    assert over.reason.startswith("it could not be written: ")
    assert drawn == []
