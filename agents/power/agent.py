"""The power agent: joules, watts and load of this machine, each with its source."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path
from typing import Annotated

import psutil
from msgspec import Meta, Struct

from agents.power import load, meter
from agents.power.meter import Meter
from agents.power.pace import Pace
from agents.power.sensor import Sensor
from bus.agent import Agent, answers
from bus.errors import BusFull, CommandRefused
from bus.lifecycle import PartKind
from bus.topic import Nothing
from schemas import power

SLOWEST_HZ = 0.1
FASTEST_HZ = 100.0
_STOP_SECONDS = 0.5


class PowerSettings(Struct, frozen=True, kw_only=True):
    """`hz` samples a second at the start. `sysfs` is the root that RAPL, hwmon and batteries are read from; any but /sys is a recording."""

    hz: Annotated[float, Meta(ge=SLOWEST_HZ, le=FASTEST_HZ)] = 10.0
    sysfs: str = "/sys"


class Power(Agent):
    """Reads energy counters and system load, and says honestly which counters exist."""

    publishes = (power.SAMPLE,)
    Settings = PowerSettings

    async def start(self) -> None:
        self.meter = await asyncio.to_thread(_open, Path(self.settings.sysfs))  # powermetrics may take seconds to refuse
        self._show_state(self.meter.trouble)
        self._declare_all()
        self.pace = Pace(self.settings.hz)
        self.rates[power.SAMPLE.name] = self.settings.hz
        # A thread of its own: a driver that hangs must not stop heartbeat and commands, and a task of the event loop costs twice as much.
        self._sampling = threading.Thread(target=self._keep_sampling, name="power-samples", daemon=True)
        self._sampling.start()

    async def stop(self) -> None:
        self.pace.end()
        await asyncio.to_thread(self._sampling.join, _STOP_SECONDS)
        self.meter.close()

    def sample(self) -> None:
        """Read everything once and publish it."""
        self.publish(power.SAMPLE, self.meter.read(time.monotonic()))

    @answers(power.SET_RATE)
    def set_rate(self, request: power.SetRate) -> power.Rate:
        if not SLOWEST_HZ <= request.hz <= FASTEST_HZ:  # false for NaN, too
            raise CommandRefused("bad_rate", f"{request.hz} samples a second: wanted {SLOWEST_HZ:g} to {FASTEST_HZ:g}")
        self.pace.change(request.hz)
        self.rates[power.SAMPLE.name] = request.hz
        return power.Rate(hz=self.pace.hz)

    @answers(power.STATUS)
    def status(self, request: Nothing) -> power.Status:
        return power.Status(
            hz=self.pace.hz,
            joules=self.meter.joules,
            sensors=[sensor.status() for sensor in self.meter.sensors],
            counted=self.meter.counted,
            reason=self.reason,
            recorded=self.meter.recorded,
        )

    def _keep_sampling(self) -> None:
        for _ in self.pace.beats():
            try:
                self.sample()
                self._show_state(self.meter.trouble)
            except Exception as error:  # the boundary that `bus.dispatch` is for handlers: the next sample may succeed
                self._report(error)

    def _report(self, error: Exception) -> None:
        reason = f"no sample: {type(error).__name__}: {error}"
        if reason != self.reason:
            self.log.error("no sample", exc_info=error)
        self._show_state(reason)

    def _show_state(self, trouble: str | None) -> None:
        """Say what is wrong when it begins and when it ends, not ten times a second."""
        if trouble != self.reason or self.state == "starting":
            with contextlib.suppress(BusFull):  # the heartbeat carries it all the same, and this thread must go on
                self.set_state("degraded" if trouble else "running", trouble)

    def _declare_all(self) -> None:
        kind: PartKind = "recorded" if self.meter.recorded else "real"
        for sensor in self.meter.sensors:
            self.declare(sensor.source, kind if sensor.available else "unavailable", _detail(sensor))
        counted = self.meter.counted
        self.declare("watts", kind if counted else "unavailable", f"sum of {', '.join(counted)}" if counted else self.reason or "")
        absent = load.missing()
        self.declare("load", "real", f"psutil {psutil.__version__}" + (f", without {', '.join(absent)}" if absent else ""))


def _open(sysfs: Path) -> Meter:
    return Meter(meter.find(sysfs), recorded=meter.recorded(sysfs), now=time.monotonic())


def _detail(sensor: Sensor) -> str:
    domains = ", ".join(domain.name for domain in sensor.domains)
    return ": ".join(text for text in (domains, sensor.reason) if text)
