"""NVIDIA graphics cards: the driver's total-energy counter, else its power reading.

Format: NVML API reference, nvmlDeviceGetTotalEnergyConsumption (millijoules since the driver was loaded; Volta and newer) and
nvmlDeviceGetPowerUsage (milliwatts).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import pynvml

from agents.power.energy import Counter, Gauge, Integral
from agents.power.sensor import Domain, Scope, Sensor
from agents.power.sysfs import Unreadable

SOURCE = "nvml"
MILLI = 1e-3

Handle = Any  # a ctypes pointer of the library, only ever handed back to it
Refresh = Callable[[float], None]


class Nvml(Protocol):
    """The part of the library `pynvml` that is called."""

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlDeviceGetCount(self) -> int: ...
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Handle: ...
    def nvmlDeviceGetName(self, handle: Handle) -> str: ...
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Handle) -> int: ...
    def nvmlDeviceGetPowerUsage(self, handle: Handle) -> int: ...


def find(library: Nvml = pynvml) -> Sensor:
    """Every card of the driver. The library is initialised here, once, and shut down by the sensor's `close`."""
    try:
        library.nvmlInit()
    except pynvml.NVMLError as error:
        return Sensor(SOURCE, missing=f"{error}: no NVIDIA driver to ask")
    try:
        domains = [_domain(library, index) for index in range(library.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        library.nvmlShutdown()
        return Sensor(SOURCE, missing=f"listing the cards: {error}")
    return Sensor(SOURCE, domains, None if domains else "the driver lists no card", library.nvmlShutdown)


def _domain(library: Nvml, index: int) -> Domain:
    """A card that cannot even be opened (fallen off the bus) is a domain that cannot be read, beside those that can."""
    name = f"gpu{index}"
    try:
        handle = library.nvmlDeviceGetHandleByIndex(index)
        name = f"{name} {library.nvmlDeviceGetName(handle)}"
        gauge, advance = _reader(library, handle)
    except pynvml.NVMLError as error:
        return Domain(SOURCE, name, Scope.COMPONENT, Integral(), _fails(str(error)))

    def refresh(now: float) -> None:
        try:
            advance(now)
        except pynvml.NVMLError as error:
            raise Unreadable(str(error)) from error

    return Domain(SOURCE, name, Scope.COMPONENT, gauge, refresh)


def _reader(library: Nvml, handle: Handle) -> tuple[Gauge, Refresh]:
    """The counter where the card has one, else its watts over time."""
    try:
        library.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        if error.value != pynvml.NVML_ERROR_NOT_SUPPORTED:  # type: ignore[attr-defined]  # set where the library makes the exception
            raise
        integral = Integral()
        return integral, lambda now: integral.advance(library.nvmlDeviceGetPowerUsage(handle) * MILLI, now)
    counter = Counter(MILLI)
    return counter, lambda now: counter.advance(library.nvmlDeviceGetTotalEnergyConsumption(handle), now)


def _fails(message: str) -> Refresh:
    def refresh(now: float) -> None:
        raise Unreadable(message)

    return refresh
