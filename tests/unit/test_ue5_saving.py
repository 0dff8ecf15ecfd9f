"""Exports go one at a time, are told of whoever waits, and end in time when the bridge does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import json
from msgspec.structs import replace
from snapshots import EVERYTHING, basic
from test_ue5_session import Scripted, answered

from agents.ue5.agent import LAST_SECONDS, Ue5
from agents.ue5.connection.discovery import Address
from agents.ue5.connection.session import Session
from agents.ue5.exports import saving
from agents.ue5.exports.performance import NO_TIME, Performance
from agents.ue5.exports.saving import LETTING_GO, MOST_AT_END, Exporter, snapshot
from agents.ue5.exports.snapshot import MetricsRow, Snapshot
from agents.ue5.moving.outbox import Outbox
from agents.ue5.watch import Watch
from bus.testing import FakeBus, run
from schemas import system, ue5

SMALL = replace(EVERYTHING, metrics=[])


class Slow:
    """Exports that take as long as a test likes. `began` has the engine of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.began: list[str] = []
        self.most = self._running = 0
        self._real = saving.export
        monkeypatch.setattr(saving, "export", self._export)

    def _export(self, taken: Snapshot, folder: Path, patience: saving.Patience) -> list[Path]:
        self.began.append(taken.engine)
        self._running += 1
        self.most = max(self.most, self._running)
        try:
            while not self.go.wait(0.01):
                patience.check()
            return self._real(taken, folder, patience)
        finally:
            self._running -= 1


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(monkeypatch)


def stored(artifacts: Path) -> set[str]:
    return {file.relative_to(artifacts).as_posix() for file in (artifacts / "store").rglob("*") if file.is_file()}


def announced(bus: FakeBus) -> set[str]:
    return {each.path for each in bus.published(system.ARTIFACT)}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # a thread sets no asyncio event
            await asyncio.sleep(0.005)


def test_who_stops_waiting_stops_no_export_and_starts_none_beside_it(slow: Slow, tmp_path: Path) -> None:
    bus = FakeBus("ue5")

    async def body() -> None:
        exporter = Exporter(bus.publish, tmp_path)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await exporter.export(SMALL, 0.0)
        slow.go.set()
        await until(lambda: len(bus.published(ue5.EXPORTED)) == 2)

    run(body())
    assert slow.most == 1
    assert stored(tmp_path) == announced(bus) != set()


def test_behind_a_running_export_waits_the_newest_scene_alone(slow: Slow, tmp_path: Path) -> None:
    async def body() -> list[str]:
        exporter = Exporter(FakeBus("ue5").publish, tmp_path)
        asked = []
        for name in ("first", "second", "third", "fourth"):
            asked.append(asyncio.ensure_future(exporter.export(replace(SMALL, engine=name), 0.0)))
            await asyncio.sleep(0.01)
        slow.go.set()
        return [exported.engine for exported in await asyncio.gather(*asked)]

    assert run(body()) == ["first", "fourth", "fourth", "fourth"]
    assert slow.began == ["first", "fourth"]


def test_an_export_that_would_take_too_long_is_given_up_and_leaves_nothing(slow: Slow, tmp_path: Path) -> None:
    bus = FakeBus("ue5")

    async def body() -> None:
        exporter = Exporter(bus.publish, tmp_path)
        running = asyncio.ensure_future(exporter.export(SMALL, 60.0))
        await until(lambda: slow.began)
        await exporter.finish(replace(SMALL, engine="last"), 0.1)
        await running

    run(body())
    assert [(each.engine, each.reason) for each in bus.published(ue5.EXPORTED)] == [(SMALL.engine, "no time"), ("last", "no time")]
    assert not stored(tmp_path)
    assert not list((tmp_path / saving.EXPORTS).glob("*"))


def test_an_export_that_sees_too_late_that_its_time_is_up_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus, gate = FakeBus("ue5"), threading.Event()
    monkeypatch.setattr(saving, "LETTING_GO", 0.05)
    monkeypatch.setattr("agents.ue5.exports.usd.write", lambda *_: gate.wait(20))

    async def body() -> float:
        began = time.monotonic()
        await Exporter(bus.publish, tmp_path).finish(SMALL, 0.05)
        took = time.monotonic() - began
        gate.set()
        return took

    assert run(body()) < 10
    assert [each.reason for each in bus.published(ue5.EXPORTED)] == ["no time"]
    assert not stored(tmp_path)


def test_the_last_export_has_a_picture_where_there_is_time_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = FakeBus("ue5")
    monkeypatch.setattr(saving, "LAST_DRAWING", 50.0)
    rows = [MetricsRow(time_ns=second * 10**9, rate=60.0) for second in range(1, 4)]

    async def body() -> None:
        await Exporter(bus.publish, tmp_path).finish(replace(SMALL, metrics=rows), 55.0)

    run(body())
    assert f"{saving.EXPORTS}/performance.png" in bus.published(ue5.EXPORTED)[0].files


def test_a_picture_that_is_being_drawn_is_done_without_when_the_bridge_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bus, drawing = FakeBus("ue5"), threading.Event()
    real = saving.export
    monkeypatch.setattr(saving, "export", lambda *wanted: (drawing.set(), real(*wanted))[1])
    endless = tmp_path / "endless"
    endless.write_text("#!/bin/sh\nexec cat\n")  # it waits at the pipe for what never comes
    endless.chmod(0o700)
    monkeypatch.setattr("agents.ue5.exports.performance.sys.executable", str(endless))

    async def body() -> None:
        exporter = Exporter(bus.publish, tmp_path)
        running = asyncio.ensure_future(exporter.export(EVERYTHING, 60.0))
        await until(drawing.is_set)
        await exporter.finish(None, 10.0)
        await running

    run(body())
    assert json.decode((tmp_path / saving.EXPORTS / "performance.json").read_bytes(), type=Performance).reason == NO_TIME
    assert len(bus.published(ue5.EXPORTED)[0].files) == 6


def test_at_the_end_a_large_scene_is_not_begun(slow: Slow, tmp_path: Path) -> None:
    bus = FakeBus("ue5")
    large = replace(SMALL, actors=[basic("Cube")] * (MOST_AT_END + 1))
    run(Exporter(bus.publish, tmp_path).finish(large, 1.0))
    assert [(each.actors, each.reason) for each in bus.published(ue5.EXPORTED)] == [(MOST_AT_END + 1, "no time")]
    assert not slow.began


def test_the_last_export_ends_before_the_agent_has_to() -> None:
    assert LAST_SECONDS + LETTING_GO < Ue5.stop_seconds < 3


def test_the_figures_of_an_export_are_those_of_its_own_session(tmp_path: Path) -> None:
    async def body() -> list[Snapshot]:
        taken = []
        for engine in ("embedded-panda3d 1.10.16", "5.6.1-44394996+++UE5+Release-5.6"):
            session = Session(engine, Address("127.0.0.1", 1, 2), Scripted(answered), None)
            watch = Watch(session, Outbox(), FakeBus("ue5").publish, lambda state, reason: None)
            await watch.begin("no cards", 60.0)
            await watch.measure()
            taken.append(snapshot(session, list(watch.metrics), {}))
            await session.close()
        return taken

    assert [len(each.metrics) for each in run(body())] == [1, 1]
