"""One sample out of all sensors: what adds up, and to what."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agents.power import meter
from agents.power.energy import Counter, Integral
from agents.power.meter import Meter, addends
from agents.power.sensor import Domain, Scope, Sensor
from agents.power.sysfs import Unreadable

TREES = Path(__file__).parents[1] / "fixtures" / "sysfs"


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    return shutil.copytree(TREES / "laptop", tmp_path / "sys", symlinks=True)


def over(sysfs: Path) -> Meter:
    return Meter(meter.find(sysfs), recorded=meter.recorded(sysfs), now=0.0)


def add(sysfs: Path, zone: str, microjoules: int) -> None:
    file = sysfs / "class" / "powercap" / zone / "energy_uj"
    file.write_text(f"{int(file.read_text()) + microjoules}\n")


def burn(sysfs: Path) -> None:
    """Half a second in which the package draws 20 W, its cores 12 W, its memory 4 W, all of the board 40 W."""
    energies = {"0": 10, "0:0": 6, "0:2": 2}
    for zone, joules in energies.items():
        add(sysfs, f"intel-rapl:{zone}", joules * 1_000_000)
    add(sysfs, "intel-rapl:1", 20_000_000)
    for zone in ("0", "0:0"):
        add(sysfs, f"intel-rapl-mmio:{zone}", energies["0" if zone == "0" else "0:2"] * 1_000_000)


def test_packages_and_memory_add_up_and_nothing_twice(laptop: Path) -> None:
    whole = over(laptop)
    burn(laptop)
    sample = whole.read(0.5)
    assert (sample.watts, sample.joules) == (pytest.approx(24), pytest.approx(12))
    assert (sample.source, sample.method, sample.interval) == ("rapl", "counter", 0.5)
    assert {energy.domain: energy.watts for energy in sample.energy} == pytest.approx(
        # uncore did not move yet, which is no interval
        {"package-0": 20, "package-0/core": 12, "package-0/uncore": None, "package-0/dram": 4, "psys": 40, "BAT0": 12.5}
    )


def test_without_packages_the_platform_counts_alone(laptop: Path) -> None:
    for zone in ("intel-rapl:0", "intel-rapl-mmio:0"):
        shutil.rmtree((laptop / "class/powercap" / zone).resolve())
    whole = over(laptop)
    add(laptop, "intel-rapl:1", 20_000_000)
    sample = whole.read(0.5)
    assert (sample.watts, whole.counted) == (pytest.approx(40), ["rapl psys"])


def test_a_battery_counts_where_it_is_all_there_is(laptop: Path) -> None:
    shutil.rmtree(laptop / "class/powercap")
    sample = over(laptop).read(2.0)
    assert (sample.watts, sample.joules) == (pytest.approx(12.5), pytest.approx(25))
    assert (sample.source, sample.method) == ("battery", "integrated")


def test_what_was_only_listed_does_not_enter_the_joules_later(laptop: Path) -> None:
    whole = over(laptop)
    add(laptop, "intel-rapl:0", 6_000_000)
    whole.read(2.0)
    shutil.rmtree(laptop / "devices/virtual/powercap")
    assert whole.read(4.0).joules == pytest.approx(6 + 2 * 12.5)


def test_charging_makes_watts_null_and_keeps_the_joules(laptop: Path) -> None:
    shutil.rmtree(laptop / "class/powercap")
    whole = over(laptop)
    whole.read(2.0)
    (laptop / "class/power_supply/BAT0/status").write_text("Charging\n")
    sample = whole.read(4.0)
    assert (sample.watts, sample.source, sample.method) == (None, None, None)
    assert sample.joules == pytest.approx(25)
    assert "status is Charging" in (whole.trouble or "")


def test_no_sensor_is_null_with_every_reason(tmp_path: Path) -> None:
    whole = over(tmp_path)
    sample = whole.read(0.1)
    assert (sample.watts, sample.joules, sample.source, sample.method, sample.energy) == (None, None, None, None, [])
    trouble = whole.trouble or ""
    for source in ("rapl: ", "hwmon: ", "battery: ", "nvml: ", "powermetrics: "):
        assert source in trouble


def test_a_recorded_tree_is_labelled_and_read_without_this_machines_cards(laptop: Path) -> None:
    whole = over(laptop)
    assert whole.read(0.1).recorded
    nvml = next(sensor for sensor in whole.sensors if sensor.source == "nvml")
    assert nvml.reason == f"not read beside the recorded tree {laptop}"


def test_this_machines_own_tree_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/sys")
    assert not meter.recorded(Path("/sys"))
    assert not meter.recorded(tmp_path / "link")


def test_a_lost_package_is_left_out_and_said(tmp_path: Path) -> None:
    server = shutil.copytree(TREES / "server", tmp_path / "sys", symlinks=True)
    shutil.rmtree(server / "class/hwmon")
    whole = over(server)
    assert whole.trouble is None
    shutil.rmtree((server / "class/powercap/intel-rapl:1").resolve())
    add(server, "intel-rapl:0", 5_000_000)
    add(server, "intel-rapl:0:0", 1_000_000)
    assert whole.read(1.0).watts == pytest.approx(6)
    assert (whole.trouble or "").startswith("watts leave out rapl package-1: ")


def test_after_a_suspend_counters_that_began_again_are_no_wrap(laptop: Path) -> None:
    asleep = [0.0]
    whole = Meter(meter.find(laptop), recorded=True, now=0.0, asleep=lambda: asleep[0])
    (laptop / "class/powercap/intel-rapl:0/energy_uj").write_text("1000\n")
    asleep[0] = 3600.0
    assert whole.read(1.0).joules == 0
    add(laptop, "intel-rapl:0", 3_000_000)
    assert whole.read(2.0).joules == pytest.approx(3)


def domain(scope: Scope, *, fails: bool = False, method: str = "counter", source: str = "test") -> Domain:
    """A domain that gives 1 W, for rules that no tree of this size shows."""
    gauge = Counter(1) if method == "counter" else Integral()

    def refresh(now: float) -> None:
        if fails:
            raise Unreadable("gone")
        gauge.advance(int(now) if method == "counter" else 1, now)

    made = Domain(source, scope.name, scope, gauge, refresh)
    made.read(0.0)
    return made


def test_the_best_kind_of_whole_is_chosen_where_no_component_can_be_read() -> None:
    wholes = [domain(Scope.BATTERY), domain(Scope.MACHINE), domain(Scope.PLATFORM)]
    assert [each.scope for each in addends([*wholes, domain(Scope.COMPONENT, fails=True)])] == [Scope.PLATFORM]
    assert [each.scope for each in addends(wholes[:2])] == [Scope.MACHINE]


def test_a_rail_counts_only_alone() -> None:
    assert len(addends([domain(Scope.RAIL)])) == 1
    assert addends([domain(Scope.RAIL), domain(Scope.RAIL)]) == []
    assert addends([domain(Scope.INSIDE)]) == []


def test_counters_and_integrals_together_are_mixed_and_both_are_named() -> None:
    sensors = [
        Sensor("rapl", [domain(Scope.COMPONENT, source="rapl")]),
        Sensor("nvml", [domain(Scope.COMPONENT, source="nvml", method="integrated")]),
    ]
    whole = Meter(sensors, recorded=False, now=0.0)
    sample = whole.read(1.0)
    assert (sample.source, sample.method, sample.watts, sample.joules) == ("rapl+nvml", "mixed", 2, 2)


def test_watts_of_a_part_never_pass_for_the_whole() -> None:
    late = domain(Scope.COMPONENT)
    whole = Meter([Sensor("test", [domain(Scope.COMPONENT, method="integrated"), late])], recorded=False, now=0.0)
    late.gauge.lose()
    assert whole.read(0.1).watts is None
