"""A step's energy is what the power agent read, or nothing with its reason."""

from typing import Any

import msgspec
import pytest

from agents.trainer.energy import EnergyMeter
from bus.event import Event
from schemas import power

SECOND = 1_000_000_000


def reading(at: float, joules: float | None, watts: float | None = 20.0, source: str | None = "rapl", epoch: int = 1, **more: Any) -> Event:
    values: dict[str, Any] = {"interval": 0.1, "cpu": 0.5, "load": None, "memory_used": 1, "memory_total": 2}
    values |= dict.fromkeys(("disk_read", "disk_written", "network_received", "network_sent"), 0.0)
    values |= {"temperatures": {}, "energy": [], "joules": joules, "watts": watts, "source": source, **more}
    sample = msgspec.convert(values, power.Sample)
    return Event(topic="power.sample", source="power", time=int(at * SECOND), data=sample, epoch=epoch, seq=1)


def laps(*script: Event | float) -> list[tuple[float | None, str | None, str | None]]:
    """What the meter says at each of the times in `script`, the readings in between taken in."""
    meter, said = EnergyMeter(), []
    for entry in script:
        if isinstance(entry, Event):
            meter.update(entry)
        else:
            said.append(tuple(meter.lap(int(entry * SECOND))))
    return said


def test_laps_shorter_than_a_window_share_its_watts() -> None:
    said = laps(reading(0.0, 100.0), 0.01, 0.04, 0.07)

    assert [each[0] for each in said[1:]] == pytest.approx([0.6, 0.6])
    assert said[1][1:] == ("rapl", None)


def test_laps_add_up_to_what_was_read_however_the_watts_change() -> None:
    readings = [reading(at / 10, joules, watts) for at, joules, watts in ((0, 10, 5), (1, 14, 40), (2, 15, 10), (3, 16, 10))]

    said = laps(readings[0], 0.0, 0.07, readings[1], 0.11, 0.19, readings[2], 0.23, readings[3], 0.30)

    assert sum(each[0] or 0.0 for each in said[1:]) == pytest.approx(16 - 10, abs=1.7)  # a window at 40 W was taken to last until 0.19
    assert all((each[0] or 0.0) >= 0 for each in said[1:])
    later = laps(readings[0], 0.0, readings[1], 0.19, readings[3], 0.30, reading(1.0, 23.0, 10.0), 1.0)
    assert sum(each[0] or 0.0 for each in later[1:]) == pytest.approx(23 - 10)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ((0.0,), "no power.sample has arrived"),
        ((reading(0.0, None, None, None), 0.0), "nothing measures watts here"),
        ((reading(0.0, 10.0), 9.0), "9.0 s old"),
        ((reading(0.0, 10.0), 0.0), "from its beginning"),
        ((reading(0.0, 10.0), 0.0, reading(0.1, 12.0, source="nvml"), 0.1), "from its beginning"),
        ((reading(0.0, 10.0), 0.0, reading(0.1, 0.5, epoch=2), 0.1), "from its beginning"),
    ],
)
def test_without_a_reading_over_all_of_it_a_lap_says_why(script: tuple[Event | float, ...], reason: str) -> None:
    joules, source, why = laps(*script)[-1]

    assert (joules, source) == (None, None)
    assert reason in (why or "")


def test_a_slow_power_agent_is_not_taken_for_a_dead_one() -> None:
    assert laps(reading(0.0, 10.0, interval=10.0), 1.0, 9.0)[-1][0] == pytest.approx(160.0)


def test_a_recorded_reading_is_called_recorded() -> None:
    assert laps(reading(0.0, 10.0, recorded=True), 0.0, 0.1)[-1][1] == "rapl (recorded)"
