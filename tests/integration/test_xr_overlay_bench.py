"""The overlay's benchmark runs and writes what docs/xr.md quotes; without noise the overlay is less than a pixel off."""

from __future__ import annotations

import json
from pathlib import Path

from agents.xr.sources.reading import read
from benchmarks import overlay


def test_the_overlay_is_less_than_a_pixel_off_as_the_agent_calibrates_and_prediction_is_nearer_than_an_old_pose(tmp_path: Path) -> None:
    overlay.measure(overlay.QUICK, [read("desk")], tmp_path / "overlay.json")

    written = json.loads((tmp_path / "overlay.json").read_text())
    assert set(written) == {"machine", "exact", "noise", "latency", "work", "seconds"}
    within = {row["known"]: row["RMS, px"] for row in written["exact"]}
    assert max(within["as it is"], within["calibrated, with its mount"]) < 1
    assert len(written["noise"]) == len(overlay.NOISE)
    by_age = {row["ms"]: row for row in written["latency"]}
    assert by_age[50]["predicted, px"] < by_age[50]["held, px"]
    assert by_age[0]["held, px"] == by_age[0]["predicted, px"] < 1
