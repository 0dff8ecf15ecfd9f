"""What cannot be set of the Petals peer is refused before it starts, by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.petals.settings import PetalsSettings
from bus.settings import BadSettings, load

RATES = ("requests_per_second", "tokens_per_second", "bytes_per_second", "patience")
BAD = [
    *[(rate, value) for rate in RATES for value in ("0", "-1", "nan", "inf", "fast")],
    *[("at_once", value) for value in ("0", "-1", "1.5")],
    *[("port", value) for value in ("-1", "65536")],
    ("cache_bytes", "-1"),
]


def loaded(name: str, value: str, folder: Path) -> PetalsSettings:
    return load(PetalsSettings, "petals", folder / "bus.toml", {f"BUS_PETALS_{name.upper()}": value})


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_number_that_cannot_be_is_refused_by_its_name(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=f"settings of petals: Expected .* at `\\$.{name}`"):
        loaded(name, value, tmp_path)


@pytest.mark.parametrize(("name", "value"), [("requests_per_second", "0.5"), ("at_once", "1"), ("port", "0"), ("cache_bytes", "0")])
def test_the_least_that_can_be_is_taken(name: str, value: str, tmp_path: Path) -> None:
    assert getattr(loaded(name, value, tmp_path), name) == float(value)
