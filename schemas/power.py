"""Power and load of the machine, with the source of every reading."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from bus.topic import Command, Nothing, Topic


class Energy(Struct, frozen=True, kw_only=True):
    """One domain of one sensor. `joules` since the agent started, `watts` over the last interval; null while it cannot be read.

    `method`: `counter` differences a hardware energy counter, `integrated` sums watts over time.
    """

    source: str
    domain: str
    watts: float | None
    joules: float | None
    method: Literal["counter", "integrated"]


class Sample(Struct, frozen=True, kw_only=True):
    """One reading over `interval` seconds, of the monotonic clock.

    `cpu` is the busy share of all cores (0 to 1), over a fifth of a second at least. About once a second are read: `load`, the load average
    of one minute, memory in bytes, rates in bytes per second (null without a counter, or where it began again), and temperatures in degrees
    Celsius by chip and label.
    `watts` and `joules` (since the agent started) add up the domains of `energy` that do not overlap: docs/power.md says which. Watts are
    null where none can be read, and then `source` is null too and the agent's manifest says why.
    `recorded`: the energy comes from a recorded tree of sysfs, not from this machine.
    """

    interval: float
    cpu: float
    load: float | None
    memory_used: int
    memory_total: int
    disk_read: float | None
    disk_written: float | None
    network_received: float | None
    network_sent: float | None
    temperatures: dict[str, float]
    energy: list[Energy]
    watts: float | None = None
    joules: float | None = None
    source: str | None = None
    method: Literal["counter", "integrated", "mixed"] | None = None
    recorded: bool = False


class SetRate(Struct, frozen=True, kw_only=True):
    """Sample `hz` times a second, 0.1 to 100, until the agent restarts. Refused as `bad_rate` outside."""

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
    """Which sensors exist here and what has been measured since the agent started.

    `counted` names the domains that add up to the watts now, `reason` says why there are none or what they leave out.
    """

    hz: float
    joules: float | None
    sensors: list[Sensor]
    counted: list[str] = []
    reason: str | None = None
    recorded: bool = False


SAMPLE = Topic("power.sample", Sample, rate_hz=10)

SET_RATE = Command("power.set_rate", SetRate, Rate)
STATUS = Command("power.status", Nothing, Status)
