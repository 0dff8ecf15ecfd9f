"""Power and load of the machine, with the source of every reading."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from bus.topic import Command, Topic


class Energy(Struct, frozen=True, kw_only=True):
    """One domain of one sensor. `joules` since the agent started, `watts` over the last interval.

    `method`: `counter` differences a hardware energy counter, `integrated` sums watts over time.
    """

    source: str
    domain: str
    watts: float | None
    joules: float | None
    method: Literal["counter", "integrated"]


class Sample(Struct, frozen=True, kw_only=True):
    """One reading. `cpu` is the busy share of all cores (0 to 1), memory and rates in bytes (per second), temperatures in degrees Celsius.

    `watts` and `joules` add up the domains that do not overlap; null where no sensor exists, and then
    `source` is null too and the agent's manifest says why.
    """

    interval: float
    cpu: float
    load: float | None
    memory_used: int
    memory_total: int
    disk_read: float
    disk_written: float
    network_received: float
    network_sent: float
    temperatures: dict[str, float]
    energy: list[Energy]
    watts: float | None = None
    joules: float | None = None
    source: str | None = None
    method: Literal["counter", "integrated", "mixed"] | None = None


class Nothing(Struct, frozen=True, kw_only=True):
    """A command without arguments."""


class SetRate(Struct, frozen=True, kw_only=True):
    """Sample `hz` times a second."""

    hz: float


class Rate(Struct, frozen=True, kw_only=True):
    """The sampling rate now in force."""

    hz: float


class Sensor(Struct, frozen=True, kw_only=True):
    """One kind of sensor: whether it can be read, which domains it has, else the reason and the mend."""

    source: str
    available: bool
    domains: list[str]
    reason: str | None = None


class Status(Struct, frozen=True, kw_only=True):
    """Which sensors exist here and what has been measured since the agent started."""

    hz: float
    joules: float | None
    sensors: list[Sensor]


SAMPLE = Topic("power.sample", Sample, rate_hz=10)

SET_RATE = Command("power.set_rate", SetRate, Rate)
STATUS = Command("power.status", Nothing, Status)
