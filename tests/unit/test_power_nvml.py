"""NVIDIA cards, with the real library where there is no driver, and a stand-in for it where a card would be needed."""

from __future__ import annotations

import pynvml
import pytest

from agents.power import nvml
from agents.power.sensor import Domain


class TwoCards:
    """Answers as the library does: the first card counts energy, the second (before Volta) only has watts."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.millijoules = 1_000_000
        self.lost = False

    def nvmlInit(self) -> None:
        self.calls.append("init")

    def nvmlShutdown(self) -> None:
        self.calls.append("shutdown")

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return ("NVIDIA A", "NVIDIA B")[handle]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        if self.lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        if handle == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return self.millijoules

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return 75_000


def read(domains: list[Domain], now: float) -> None:
    for domain in domains:
        domain.read(now)


def test_a_card_counts_millijoules_and_an_old_one_integrates_milliwatts() -> None:
    library = TwoCards()
    sensor = nvml.find(library)
    read(sensor.domains, 0.0)
    library.millijoules += 30_000
    read(sensor.domains, 0.1)
    new, old = (domain.energy() for domain in sensor.domains)
    assert (new.domain, new.method, new.joules, new.watts) == ("gpu0 NVIDIA A", "counter", pytest.approx(30), pytest.approx(300))
    assert (old.domain, old.method, old.joules, old.watts) == ("gpu1 NVIDIA B", "integrated", pytest.approx(7.5), pytest.approx(75))


def test_the_library_is_opened_once_and_closed_once() -> None:
    library = TwoCards()
    sensor = nvml.find(library)
    for now in range(5):
        read(sensor.domains, now)
    sensor.close()
    assert library.calls == ["init", "shutdown"]


def test_a_driver_that_was_loaded_again_starts_at_zero_without_a_jump() -> None:
    library = TwoCards()
    sensor = nvml.find(library)
    for now, millijoules in enumerate((1_000_000, 1_010_000, 0, 5_000)):
        library.millijoules = millijoules
        read(sensor.domains, now)
    assert sensor.domains[0].energy().joules == pytest.approx(15)


def test_a_card_that_falls_off_the_bus_says_so_and_stops_no_other() -> None:
    library = TwoCards()
    sensor = nvml.find(library)
    library.lost = True
    read(sensor.domains, 0.0)
    assert "lost" in (sensor.domains[0].reason or "").lower()
    assert sensor.domains[0].energy().watts is None
    assert sensor.domains[1].readable


def test_this_machine_has_cards_or_the_librarys_own_reason() -> None:
    sensor = nvml.find()
    read(sensor.domains, 0.0)
    sensor.close()
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        assert (sensor.domains, sensor.available) == ([], False)
        assert str(error) in (sensor.reason or "")
    else:
        assert len(sensor.domains) == count
