"""Composes the sensors into one sample, and decides which of their domains add up to the machine's watts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from agents.power import battery, hwmon, nvml, powermetrics, rapl
from agents.power.load import Load
from agents.power.sensor import Domain, Scope, Sensor
from schemas import power

SYSFS = Path("/sys")
_WHOLES = (Scope.PLATFORM, Scope.MACHINE, Scope.BATTERY)
_RESUME_SECONDS = 1.0
_UNADDED = "readable, but its rails may feed each other: listed, not added"


def find(sysfs: Path) -> list[Sensor]:
    """Every kind of sensor. A recorded tree is read alone: the cards and chips of this machine are not part of it."""
    found = [rapl.find(sysfs), hwmon.find(sysfs), battery.find(sysfs)]
    if not recorded(sysfs):
        return [*found, nvml.find(), powermetrics.find()]
    return [
        *found,
        *(Sensor(source, missing=f"not read beside the recorded tree {sysfs}") for source in (nvml.SOURCE, powermetrics.SOURCE)),
    ]


def recorded(sysfs: Path) -> bool:
    """Whether this root is a recording and not this machine's."""
    return sysfs.resolve() != SYSFS


def addends(domains: Iterable[Domain]) -> list[Domain]:
    """The readable domains that add up without counting a joule twice.

    Components (packages, their DRAM, graphics cards) lie beside each other. Without one, what measures the whole: the platform, else the
    supply, else the batteries. A rail may feed any of these, so it counts only where it is all there is.
    """
    readable = [domain for domain in domains if domain.readable]
    for scope in (Scope.COMPONENT, *_WHOLES):
        chosen = [domain for domain in readable if domain.scope is scope]
        if chosen:
            return chosen
    return readable if len(readable) == 1 and readable[0].scope is Scope.RAIL else []


def seconds_asleep() -> float:
    """How long this machine has been suspended since boot; Linux's monotonic clock stands still meanwhile."""
    if sys.platform != "linux":
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()


class Meter:
    """Reads all sensors and the load.

    `joules` is the sum since construction, `trouble` says why watts are null or which part of the machine they leave out. `asleep` gives
    the seconds that the machine has been suspended since boot.
    """

    def __init__(self, sensors: Sequence[Sensor], *, recorded: bool, now: float, asleep: Callable[[], float] = seconds_asleep) -> None:
        self.sensors = sensors
        self.recorded = recorded
        self.joules: float | None = None
        self._asleep = asleep
        self._slept = self._asleep()
        self._domains = [domain for sensor in sensors for domain in sensor.domains]
        self._seen: dict[Domain, float] = {}
        self._last = now
        self._load = Load(now)
        self._reasons: list[str | None] | None = None
        self._counted: list[Domain] = []
        self.trouble: str | None = None
        self._refresh(now)
        self._add_up()

    def read(self, now: float) -> power.Sample:
        """One sample at the monotonic time `now` in seconds. Call it from one thread at a time."""
        self._refresh(now)
        self._add_up()
        counted = self._counted
        cpu, load = self._load.read(now)
        interval, self._last = now - self._last, now
        return power.Sample(
            interval=interval, cpu=cpu, load=load.load,
            memory_used=load.memory_used, memory_total=load.memory_total,
            disk_read=load.disk_read, disk_written=load.disk_written,
            network_received=load.network_received, network_sent=load.network_sent,
            temperatures=load.temperatures,
            energy=[domain.energy() for domain in self._domains],
            watts=_sum([domain.gauge.watts for domain in counted]),
            joules=self.joules,
            source="+".join(dict.fromkeys(domain.source for domain in counted)) or None,
            method=_method(counted),
            recorded=self.recorded,
        )  # fmt: skip

    @property
    def counted(self) -> list[str]:
        """The domains that add up to `watts` now."""
        return [f"{domain.source} {domain.name}" for domain in self._counted]

    def close(self) -> None:
        """Let go of what the sensors hold: a driver's handle, a process."""
        for sensor in self.sensors:
            sensor.close()

    def _refresh(self, now: float) -> None:
        slept = self._asleep()
        if slept - self._slept > _RESUME_SECONDS:  # counters may start at 0 after a suspend, which would look like a wrap
            for domain in self._domains:
                domain.gauge.lose()
        self._slept = slept
        for domain in self._domains:
            domain.read(now)
        reasons = [domain.reason for domain in self._domains]
        if reasons != self._reasons:  # what adds up, and the text of what does not, hang on these alone
            self._reasons = reasons
            self._counted = addends(self._domains)
            self.trouble = self._find_trouble()

    def _add_up(self) -> None:
        """Add what the counted domains used since the last sample to `joules`; what others used then never enters it."""
        used = {domain: (domain.gauge.joules or 0.0) - self._seen.get(domain, 0.0) for domain in self._domains}
        self._seen = {domain: domain.gauge.joules or 0.0 for domain in self._domains}
        if self._counted:
            self.joules = (self.joules or 0.0) + sum(used[domain] for domain in self._counted)

    def _find_trouble(self) -> str | None:
        if not self._counted:
            return (
                f"watts are null, nothing measures them: {'; '.join(f'{each.source}: {each.reason or _UNADDED}' for each in self.sensors)}"
            )
        lost = [domain for domain in self._domains if domain.scope is Scope.COMPONENT and not domain.readable]
        return f"watts leave out {'; '.join(f'{domain.source} {domain.name}: {domain.reason}' for domain in lost)}" if lost else None


def _sum(watts: list[float | None]) -> float | None:
    """Null until every addend has an interval: a part must not pass for the whole."""
    known = [each for each in watts if each is not None]
    return sum(known) if known and len(known) == len(watts) else None


def _method(domains: list[Domain]) -> Literal["counter", "integrated", "mixed"] | None:
    methods = {domain.gauge.method for domain in domains}
    return "mixed" if len(methods) > 1 else next(iter(methods), None)
