"""Load of the machine through psutil: CPU, memory, disk, network and temperatures."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psutil

T = TypeVar("T")

# Both a hair less than a multiple of 0.1 s, or a beat that comes early would wait for the one after.
CPU_SECONDS = 0.19
"""The kernel counts in ticks of 10 ms, so that a share over a shorter window says little; psutil warns of less than 0.1 s."""
SLOW_SECONDS = 0.95
"""Everything else is read this often: ten times a second it would cost more than 1% of a core."""

_LOOPBACK = ("lo", "lo0")


@dataclass(frozen=True, slots=True)
class Slow:
    """What is read once a second. Bytes, bytes a second (null without a counter, or where it began again), degrees Celsius."""

    load: float | None
    memory_used: int
    memory_total: int
    disk_read: float | None
    disk_written: float | None
    network_received: float | None
    network_sent: float | None
    temperatures: dict[str, float]


class Rate:
    """A byte counter as bytes a second."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None

    def advance(self, count: int | None, now: float) -> float | None:
        """The rate since the last call. Null for the first, for no counter, and where it fell: an interface or disk went away."""
        before, self._last = self._last, None if count is None else (count, now)
        if before is None or count is None or count < before[0] or now <= before[1]:
            return None
        return (count - before[0]) / (now - before[1])


class Load:
    """Reads the load. The first reading, which has nothing to compare with, is taken on construction."""

    def __init__(self, now: float) -> None:
        self._rates = [Rate() for _ in range(4)]
        self._slow = self._read_slow(now)
        self._next_slow = now
        self._cpu = 0.0
        self._next_cpu = now
        psutil.cpu_percent()  # its first answer means nothing, says psutil's documentation

    def read(self, now: float) -> tuple[float, Slow]:
        """The busy share of all cores (0 to 1), and the rest as of the last second, at the monotonic time `now`."""
        if now >= self._next_slow:
            self._next_slow = now + SLOW_SECONDS
            self._slow = self._read_slow(now)
        if now >= self._next_cpu:
            self._next_cpu = now + CPU_SECONDS
            self._cpu = psutil.cpu_percent() / 100
        return self._cpu, self._slow

    def _read_slow(self, now: float) -> Slow:
        memory = psutil.virtual_memory()
        counts = (*(disk_bytes() or (None, None)), *(network_bytes() or (None, None)))
        read, written, received, sent = (rate.advance(count, now) for rate, count in zip(self._rates, counts, strict=True))
        return Slow(
            load=load_average(), memory_used=memory.used, memory_total=memory.total,
            disk_read=read, disk_written=written, network_received=received, network_sent=sent, temperatures=temperatures(),
        )  # fmt: skip


def missing() -> list[str]:
    """What psutil cannot say on this machine."""
    found = {"disk": disk_bytes(), "network": network_bytes(), "load average": load_average(), "temperatures": temperatures() or None}
    return [name for name, value in found.items() if value is None]


def disk_bytes() -> tuple[int, int] | None:
    """Bytes read and written by all disks since boot."""
    counters = _or_none(lambda: psutil.disk_io_counters(nowrap=False))
    return None if counters is None else (counters.read_bytes, counters.write_bytes)


def network_bytes() -> tuple[int, int] | None:
    """Bytes received and sent by all interfaces but loopback since boot."""
    counters = _or_none(lambda: psutil.net_io_counters(pernic=True, nowrap=False)) or {}
    wires = [counter for name, counter in counters.items() if name not in _LOOPBACK]
    return (sum(wire.bytes_recv for wire in wires), sum(wire.bytes_sent for wire in wires)) if wires else None


def load_average() -> float | None:
    """Processes that run or wait, mean of the last minute."""
    return _or_none(lambda: os.getloadavg()[0])


def temperatures() -> dict[str, float]:
    """Degrees Celsius by chip and label. Empty where psutil knows none: virtual machines, and macOS."""
    if not hasattr(psutil, "sensors_temperatures"):
        return {}
    found: dict[str, float] = {}
    for chip, entries in (_or_none(psutil.sensors_temperatures) or {}).items():
        for number, entry in enumerate(entries):
            name = f"{chip}/{entry.label or number}"
            found[name if name not in found else f"{name}#{number}"] = entry.current  # two disks of one kind share their labels
    return found


def _or_none(read: Callable[[], T]) -> T | None:
    """What a container hides is an OSError or NotImplementedError of psutil."""
    with contextlib.suppress(OSError, NotImplementedError):
        return read()
    return None
