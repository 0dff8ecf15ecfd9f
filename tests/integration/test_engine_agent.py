"""The engine's agent with its own threads and ports: how it starts, what it says of itself, and how it ends."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest
import trimesh

from agents.engine import agent as module
from agents.engine.agent import EmbeddedEngine
from agents.engine.render import pipes
from agents.engine.settings import EngineSettings
from agents.engine.watch import STILL_SECONDS
from agents.engine.world import Looks, Transform
from bus.errors import BusFull, CommandRefused
from bus.settings import BadSettings
from bus.testing import FakeBus, Harness
from bus.topic import Nothing
from schemas import engine, system

PATIENCE = 60.0
SMALL = EngineSettings(renderer="software", bodies=5, http_port=0, websocket_port=0, width=160, height=90)


@asynccontextmanager
async def running(artifacts: Path, bus: FakeBus | None = None) -> AsyncIterator[Harness[EmbeddedEngine]]:
    harness = Harness(EmbeddedEngine, artifacts, SMALL, bus)
    await harness.start()
    try:
        yield harness
    finally:
        await harness.stop()


def with_engine(artifacts: Path, act: Callable[[Harness[EmbeddedEngine]], Awaitable[None]], bus: FakeBus | None = None) -> None:
    async def live() -> None:
        async with running(artifacts, bus) as harness:
            await act(harness)

    asyncio.run(asyncio.wait_for(live(), PATIENCE))


async def until(condition: Callable[[], Any], what: str) -> None:  # Any: only whether it is true
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.01)


def test_a_recording_is_kept_when_the_engine_stops_in_the_middle_of_it(tmp_path: Path) -> None:
    async def record() -> Harness[EmbeddedEngine]:
        async with running(tmp_path) as harness:
            await harness.call(engine.RECORD, engine.Record(camera="main", seconds=600))
            frames = harness.agent.world.frame
            await until(lambda: harness.agent.world.frame > frames + 30, "frames")
        return harness

    harness = asyncio.run(asyncio.wait_for(record(), PATIENCE))

    (recorded,) = harness.published(engine.RECORDED)
    video = cv2.VideoCapture(str(tmp_path / str(recorded.path) / "video.avi"))
    assert (recorded.reason, recorded.frames) == (None, video.get(cv2.CAP_PROP_FRAME_COUNT))
    assert {artifact.hash for artifact in harness.published(system.ARTIFACT)} == {recorded.video, recorded.poses}
    assert EmbeddedEngine.stop_seconds > module.END_SECONDS + module.KEEP_SECONDS


def test_only_a_camera_can_be_recorded_and_else_no_folder_is_left(tmp_path: Path) -> None:
    async def record(harness: Harness[EmbeddedEngine]) -> None:
        for label in ("floor", "attic"):
            with pytest.raises(CommandRefused, match=f"there is no camera '{label}' in default"):
                await harness.call(engine.RECORD, engine.Record(camera=label))

    with_engine(tmp_path, record)

    assert not (tmp_path / module.RECORDINGS).exists()


def test_the_status_counts_what_is_there_now(tmp_path: Path) -> None:
    async def spawn(harness: Harness[EmbeddedEngine]) -> None:
        before = (await harness.call(engine.STATUS, Nothing())).scene
        harness.agent.world.spawn("Actor", Transform(), Looks())
        (ball,) = [actor for actor in harness.agent.world.actors.values() if actor.label == "body 1"]
        harness.agent.world.destroy(ball.name)
        harness.agent.world.spawn("Actor", Transform(), Looks())
        await harness.call(engine.STEP, engine.Step())
        after = (await harness.call(engine.STATUS, Nothing())).scene

        assert (after.actors, after.bodies) == (before.actors + 1, before.bodies - 1)

    with_engine(tmp_path, spawn)


def test_a_scene_is_reset_from_memory_whatever_has_become_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "house.glb"
    trimesh.creation.box((1, 2, 3)).export(file)

    async def reset(harness: Harness[EmbeddedEngine]) -> None:
        loaded = await harness.call(engine.LOAD, engine.Load(path=str(file)))
        boxes = dict(harness.agent.engine.boxes)
        file.unlink()
        harness.agent.world.clear("")

        assert await harness.call(engine.RESET, Nothing()) == loaded
        assert harness.agent.engine.boxes == boxes
        assert "house" in str(boxes)

    with_engine(tmp_path, reset)


def test_a_path_that_is_none_is_a_bad_scene(tmp_path: Path) -> None:
    async def load(harness: Harness[EmbeddedEngine]) -> None:
        with pytest.raises(CommandRefused) as refused:
            await harness.call(engine.LOAD, engine.Load(path="~nosuchuser/x.glb"))
        assert refused.value.code == "bad_scene"

    with_engine(tmp_path, load)
    with pytest.raises(BadSettings, match="nosuchuser"):
        asyncio.run(Harness(EmbeddedEngine, tmp_path, EngineSettings(renderer="software", scene="~nosuchuser/x.glb")).start())


class Full(FakeBus):
    """A bus that has no room for the figures of frames."""

    def __init__(self) -> None:
        super().__init__("engine")
        self.refused = 0

    def publish(self, topic: Any, data: Any, **more: Any) -> str:  # Any: as FakeBus has it
        if topic is engine.FRAME:
            self.refused += 1
            raise BusFull("the ring is full")
        return super().publish(topic, data, **more)


def test_the_engine_goes_on_where_the_bus_takes_nothing_more(tmp_path: Path) -> None:
    bus = Full()

    async def go_on(harness: Harness[EmbeddedEngine]) -> None:
        await until(lambda: bus.refused > 1, "a second of frames after one that was refused")
        assert harness.agent.state == "running"

    with_engine(tmp_path, go_on, bus)


class Slow(FakeBus):
    """A bus that holds up the engine's thread while it is not `free`."""

    def __init__(self) -> None:
        super().__init__("engine")
        self.free = threading.Event()
        self.free.set()

    def publish(self, topic: Any, data: Any, **more: Any) -> str:  # as above
        if topic is engine.PICTURE:
            self.free.wait(PATIENCE)
        return super().publish(topic, data, **more)


def test_an_engine_that_hangs_says_so_and_answers_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.1)
    bus, later = Slow(), time.monotonic() + PATIENCE + STILL_SECONDS

    async def hang(harness: Harness[EmbeddedEngine]) -> None:
        bus.free.clear()
        await until_refused(harness)
        await harness.tick("look")
        with monkeypatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: later)
            await harness.tick("look")
        assert (harness.agent.state, harness.agent.reason) == ("degraded", "no frame was drawn for 5 s")
        frame = harness.agent.world.frame
        bus.free.set()
        await until(lambda: harness.agent.world.frame > frame, "a frame")
        await harness.tick("look")
        assert harness.agent.state == "running"

    with_engine(tmp_path, hang, bus)


async def until_refused(harness: Harness[EmbeddedEngine]) -> None:
    """Ask until nothing is answered any more."""
    with pytest.raises(CommandRefused) as refused:
        while True:
            await harness.call(engine.RESUME, Nothing())
    assert refused.value.code == "timeout"


def test_a_start_that_is_given_up_leaves_no_trial_of_opengl_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hanging.py").write_text(
        f"import os, pathlib, time; pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid())); time.sleep(600)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(pipes, "PROBE", "hanging")
    pid = tmp_path / "pid"

    async def give_up() -> None:
        harness = Harness(EmbeddedEngine, tmp_path, EngineSettings(renderer="auto", http_port=0, websocket_port=0))
        starting = asyncio.create_task(harness.start())
        await until(lambda: pid.exists() and pid.read_text(), "the trial")
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(asyncio.wait_for(give_up(), PATIENCE))

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
