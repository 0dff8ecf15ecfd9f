"""What every power sensor is: domains that refresh their gauges, or a reason why there are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from agents.power.energy import Gauge
from agents.power.sysfs import Idle, Unreadable
from schemas import power


class Scope(Enum):
    """What a domain measures, which decides whether it may be added to others: see `meter.addends`."""

    COMPONENT = auto()  # one part of the machine, apart from all others: a CPU package, its DRAM, a graphics card
    PLATFORM = auto()  # RAPL's psys: the packages and more of the board, how much is the vendor's choice
    MACHINE = auto()  # the whole machine, at its supply
    BATTERY = auto()  # the whole machine, while a battery feeds it
    INSIDE = auto()  # part of a component that is a domain itself: the cores of a package
    RAIL = auto()  # a supply line of the board, which may feed any of the above


def _nothing() -> None:
    """Most sensors hold nothing open."""


@dataclass(slots=True, eq=False)
class Domain:
    """One thing whose energy is measured. `refresh` takes the monotonic time, reads the sensor into `gauge`, and may raise Unreadable."""

    source: str
    name: str
    scope: Scope
    gauge: Gauge
    refresh: Callable[[float], None]
    reason: str | None = None
    idle: bool = False

    def read(self, now: float) -> None:
        """Refresh the gauge. A sensor that fails says so in `reason` and is tried again at the next sample."""
        try:
            self.refresh(now)
        except Unreadable as error:
            self.gauge.lose()
            self.reason, self.idle = str(error), isinstance(error, Idle)
        else:
            self.reason, self.idle = None, False

    @property
    def readable(self) -> bool:
        return self.reason is None

    def energy(self) -> power.Energy:
        gauge = self.gauge
        return power.Energy(source=self.source, domain=self.name, watts=gauge.watts, joules=gauge.joules, method=gauge.method)


@dataclass(frozen=True, slots=True)
class Sensor:
    """One kind of sensor: what `find` of its module found. `missing` says why there is no domain."""

    source: str
    domains: list[Domain] = field(default_factory=list)
    missing: str | None = None
    close: Callable[[], None] = _nothing

    @property
    def available(self) -> bool:
        return any(domain.readable or domain.idle for domain in self.domains)

    @property
    def reason(self) -> str | None:
        """Why it is missing, or why some of its domains cannot be read now."""
        troubles = [f"{domain.name}: {domain.reason}" for domain in self.domains if domain.reason]
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        return troubles[0] + more if troubles else self.missing

    def status(self) -> power.Sensor:
        domains = [domain.name for domain in self.domains]
        return power.Sensor(source=self.source, available=self.available, domains=domains, reason=self.reason)
