"""The power agent on a bus without sockets."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agents.power.agent import Power, PowerSettings
from bus.errors import BusFull, CommandRefused
from bus.testing import Harness, run
from bus.topic import Nothing
from schemas import power

TREES = Path(__file__).parents[1] / "fixtures" / "sysfs"
SLOW = 0.1  # samples a second: the tests take their own


def with_agent(artifacts: Path, sysfs: Path, hz: float, body: Callable[[Harness, Power], Awaitable[None]]) -> None:
    """Start the agent over a tree, do `body`, stop it."""

    async def live() -> None:
        harness = Harness(Power, artifacts, PowerSettings(hz=hz, sysfs=str(sysfs)))
        await harness.start()
        try:
            assert isinstance(harness.agent, Power)
            await body(harness, harness.agent)
        finally:
            await harness.stop()

    run(live())


async def until(condition: Callable[[], object]) -> None:
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


def test_a_sample_names_its_sources_and_adds_up(tmp_path: Path) -> None:
    sysfs = shutil.copytree(TREES / "server", tmp_path / "sys", symlinks=True)
    shutil.rmtree(sysfs / "class/hwmon")

    async def body(harness: Harness, agent: Power) -> None:
        for file in sysfs.glob("class/powercap/*/energy_uj"):
            file.write_text(f"{int(file.read_text()) + 100_000}\n")
        agent.sample()
        sample = harness.bus.published(power.SAMPLE)[-1]
        assert sample.joules == pytest.approx(0.4)
        assert sample.watts == pytest.approx(0.4 / sample.interval)
        assert (sample.source, sample.method, sample.recorded) == ("rapl", "counter", True)
        assert harness.bus.states == [("running", None)]

    with_agent(tmp_path, sysfs, SLOW, body)


def test_the_manifest_says_of_each_sensor_what_stands_behind_it(tmp_path: Path) -> None:
    async def body(harness: Harness, agent: Power) -> None:
        parts = {part.name: part for part in agent.parts}
        assert {name: part.kind for name, part in parts.items()} == {
            "rapl": "recorded", "hwmon": "unavailable", "battery": "recorded", "nvml": "unavailable", "powermetrics": "unavailable",
            "watts": "recorded", "load": "real",
        }  # fmt: skip
        assert parts["watts"].detail == "sum of rapl package-0, rapl package-0/dram"
        assert all(part.detail for part in parts.values())

    with_agent(tmp_path, TREES / "laptop", SLOW, body)


def test_no_sensor_is_null_watts_with_the_reason_in_manifest_state_and_status(tmp_path: Path) -> None:
    async def body(harness: Harness, agent: Power) -> None:
        agent.sample()
        agent.sample()
        sample = harness.bus.published(power.SAMPLE)[-1]
        assert (sample.watts, sample.joules, sample.source) == (None, None, None)
        watts = next(part for part in agent.parts if part.name == "watts")
        assert watts.kind == "unavailable"
        assert f"{tmp_path}/class/powercap: no such file or directory" in watts.detail
        assert harness.bus.states == [("degraded", watts.detail)]  # once, and not with every sample
        status = await harness.call(power.STATUS, Nothing())
        assert (status.joules, status.counted, status.reason) == (None, [], watts.detail)
        assert all(not sensor.available and sensor.reason for sensor in status.sensors)

    with_agent(tmp_path, tmp_path, SLOW, body)


def test_the_rate_can_be_changed_while_it_samples(tmp_path: Path) -> None:
    async def body(harness: Harness, agent: Power) -> None:
        assert await harness.call(power.SET_RATE, power.SetRate(hz=100)) == power.Rate(hz=100)
        await until(lambda: len(harness.bus.published(power.SAMPLE)) >= 5)
        assert (await harness.call(power.STATUS, Nothing())).hz == 100

    with_agent(tmp_path, tmp_path, SLOW, body)


@pytest.mark.parametrize("hz", [0.0999, 100.001, 0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_out_of_bounds_is_refused_and_changes_nothing(tmp_path: Path, hz: float) -> None:
    async def body(harness: Harness, agent: Power) -> None:
        with pytest.raises(CommandRefused) as refused:
            await harness.call(power.SET_RATE, power.SetRate(hz=hz))
        assert refused.value.code == "bad_rate"
        assert "0.1 to 100" in refused.value.message
        assert agent.pace.hz == SLOW

    with_agent(tmp_path, tmp_path, SLOW, body)


@pytest.mark.parametrize("hz", [0.1, 100.0])
def test_the_bounds_themselves_are_taken(tmp_path: Path, hz: float) -> None:
    async def body(harness: Harness, agent: Power) -> None:
        assert (await harness.call(power.SET_RATE, power.SetRate(hz=hz))).hz == hz

    with_agent(tmp_path, tmp_path, SLOW, body)


def test_a_sample_that_fails_is_said_once_and_the_next_one_comes(tmp_path: Path) -> None:
    async def body(harness: Harness, agent: Power) -> None:
        read, failures = agent.meter.read, iter(range(3))

        def fails_thrice(now: float) -> power.Sample:
            if next(failures, None) is not None:
                raise OSError("the disk went away")
            return read(now)

        agent.meter.read = fails_thrice  # type: ignore[method-assign]  # a driver that misbehaves
        await harness.call(power.SET_RATE, power.SetRate(hz=100))
        await until(lambda: harness.bus.published(power.SAMPLE) and len(harness.bus.states) == 3)
        assert harness.bus.states == [("running", None), ("degraded", "no sample: OSError: the disk went away"), ("running", None)]

    with_agent(tmp_path, TREES / "laptop", SLOW, body)


def test_a_full_bus_does_not_end_the_sampling(tmp_path: Path) -> None:
    async def body(harness: Harness, agent: Power) -> None:
        publish, changed, failures = harness.bus.publish, harness.bus.state_changed, iter(range(6))

        def full(*arguments: Any, **named: Any) -> Any:  # Any: as FakeBus's two methods
            if next(failures, None) is not None:
                raise BusFull("no room")
            return (publish if named else changed)(*arguments, **named)

        harness.bus.publish = harness.bus.state_changed = full  # type: ignore[method-assign]  # a recorder that is away
        await harness.call(power.SET_RATE, power.SetRate(hz=100))
        await until(lambda: harness.bus.published(power.SAMPLE))
        await until(lambda: agent.state == "running")

    with_agent(tmp_path, TREES / "laptop", SLOW, body)


def test_nothing_is_published_after_stop(tmp_path: Path) -> None:
    async def live() -> None:
        harness = Harness(Power, tmp_path, PowerSettings(hz=100, sysfs=str(tmp_path)))
        await harness.start()
        await until(lambda: harness.bus.events)
        await harness.stop()
        published = len(harness.bus.events)
        await asyncio.sleep(0.05)
        assert len(harness.bus.events) == published

    run(live())
