"""Load through psutil."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from agents.power import load
from agents.power.load import SLOW_SECONDS, Load, Rate


def test_a_rate_is_bytes_over_the_time_between_two_readings() -> None:
    rate = Rate()
    assert rate.advance(1000, 0.0) is None
    assert rate.advance(3000, 0.5) == 4000
    assert rate.advance(3000, 1.0) == 0


def test_a_counter_that_fell_or_is_gone_has_no_rate_for_that_interval() -> None:
    rate = Rate()
    rates = [rate.advance(count, second) for second, count in enumerate((500, 700, 20, 50, None, 60, 80))]
    assert rates == [None, 200, None, 30, None, None, 20]


def test_no_time_between_two_readings_is_no_rate() -> None:
    rate = Rate()
    rate.advance(1, 5.0)
    assert rate.advance(9, 5.0) is None


def test_what_this_machine_has_is_measured_from_the_first_sample_on() -> None:
    meter = Load(0.0)
    cpu, slow = meter.read(0.1)
    absent = load.missing()
    assert 0 <= cpu <= 1
    assert 0 < slow.memory_used < slow.memory_total
    assert (slow.disk_read is None) == ("disk" in absent)
    assert (slow.network_sent is None) == ("network" in absent)


def test_what_costs_more_is_read_once_a_second() -> None:
    meter = Load(0.0)
    _, first = meter.read(0.1)
    assert meter.read(0.1 + SLOW_SECONDS / 2)[1] is first
    assert meter.read(0.1 + SLOW_SECONDS)[1] is not first


def test_loopback_is_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    counters = {"lo": (10, 10), "eth0": (3, 4), "wlan0": (30, 40)}
    answer = {name: SimpleNamespace(bytes_recv=received, bytes_sent=sent) for name, (received, sent) in counters.items()}
    monkeypatch.setattr(psutil, "net_io_counters", lambda **_: answer)
    assert load.network_bytes() == (33, 44)


def test_counters_that_a_container_hides_are_null(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(**_: bool) -> None:
        raise FileNotFoundError("/proc/diskstats")

    monkeypatch.setattr(psutil, "disk_io_counters", hidden)
    assert load.disk_bytes() is None
    assert Load(0.0).read(1.0)[1].disk_read is None
    assert "disk" in load.missing()


def test_temperatures_of_two_disks_of_one_kind_are_both_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = [SimpleNamespace(label="Composite", current=40.0), SimpleNamespace(label="Composite", current=50.0)]
    chips = {"nvme": disk, "acpitz": [SimpleNamespace(label="", current=30.0)]}
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: chips, raising=False)
    assert load.temperatures() == {"nvme/Composite": 40.0, "nvme/Composite#1": 50.0, "acpitz/0": 30.0}


def test_without_temperatures_as_on_macos_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    assert load.temperatures() == {}
    assert "temperatures" in load.missing()
