"""Batteries and hwmon chips."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agents.power import battery, hwmon
from agents.power.sensor import Domain, Scope, Sensor

TREES = Path(__file__).parents[1] / "fixtures" / "sysfs"


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    return shutil.copytree(TREES / "laptop", tmp_path / "sys", symlinks=True)


def read(sensor: Sensor, now: float = 0.0) -> dict[str, Domain]:
    for domain in sensor.domains:
        domain.read(now)
    return {domain.name: domain for domain in sensor.domains}


def test_a_discharging_battery_shows_watts_and_integrates_them(sysfs: Path) -> None:
    sensor = battery.find(sysfs)
    read(sensor, 0.0)
    found = read(sensor, 2.0)
    assert list(found) == ["BAT0"]  # not the mains, not the mouse
    assert found["BAT0"].energy().watts == pytest.approx(12.5)
    assert found["BAT0"].energy().joules == pytest.approx(25)
    assert found["BAT0"].energy().method == "integrated"


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging", "Unknown"])
def test_a_battery_that_does_not_discharge_has_no_watts_and_says_why(sysfs: Path, status: str) -> None:
    (sysfs / "class/power_supply/BAT0/status").write_text(f"{status}\n")
    sensor = battery.find(sysfs)
    found = read(sensor)["BAT0"]
    assert found.energy().watts is None
    assert f"status is {status}" in (found.reason or "")
    assert sensor.available


def test_without_power_now_it_is_current_times_voltage_whatever_the_sign(sysfs: Path) -> None:
    folder = sysfs / "class/power_supply/BAT0"
    (folder / "power_now").unlink()
    (folder / "current_now").write_text("-2000000\n")
    assert battery.discharge(folder) == pytest.approx(30.8)


def test_no_battery_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "class/power_supply").mkdir(parents=True)
    assert battery.find(tmp_path).reason == f"{tmp_path}/class/power_supply: no battery"


def test_a_battery_is_not_read_a_second_time_as_a_chip(sysfs: Path) -> None:
    sensor = hwmon.find(sysfs)
    assert sensor.domains == []
    assert sensor.reason == f"{sysfs}/class/hwmon: no chip of 2 measures power or energy"


def test_channels_are_named_by_chip_and_label_and_know_their_scope() -> None:
    found = read(hwmon.find(TREES / "server"))
    assert {name: domain.scope for name, domain in found.items()} == {
        "hwmon0:amdgpu/PPT": Scope.COMPONENT,
        "hwmon1:power_meter/power1": Scope.MACHINE,
        "hwmon2:xe/card": Scope.COMPONENT,
        "hwmon2:xe/pkg": Scope.INSIDE,
        "hwmon3:ina3221/power1": Scope.RAIL,
        "hwmon3:ina3221/power2": Scope.RAIL,
    }
    assert found["hwmon0:amdgpu/PPT"].gauge.watts == pytest.approx(180)


def test_graphics_inside_the_package_are_part_of_it(tmp_path: Path) -> None:
    server = shutil.copytree(TREES / "server", tmp_path / "sys", symlinks=True)
    (server / "class/hwmon/hwmon0/in1_input").write_text("800\n")
    assert read(hwmon.find(server))["hwmon0:amdgpu/PPT"].scope is Scope.INSIDE


def test_an_energy_channel_is_a_counter_and_preferred_to_its_watts(tmp_path: Path) -> None:
    server = shutil.copytree(TREES / "server", tmp_path / "sys", symlinks=True)
    card = server / "class/hwmon/hwmon2"
    (card / "power1_input").write_text("1\n")
    sensor = hwmon.find(server)
    read(sensor, 0.0)
    (card / "energy1_input").write_text("25000000\n")
    found = read(sensor, 0.1)["hwmon2:xe/card"].energy()
    assert (found.method, found.joules, found.watts) == ("counter", pytest.approx(20), pytest.approx(200))


def test_an_average_is_preferred_to_an_instant(tmp_path: Path) -> None:
    server = shutil.copytree(TREES / "server", tmp_path / "sys", symlinks=True)
    (server / "class/hwmon/hwmon0/power1_input").write_text("999000000\n")
    assert read(hwmon.find(server))["hwmon0:amdgpu/PPT"].gauge.watts == pytest.approx(180)
