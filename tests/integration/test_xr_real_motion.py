"""On real trajectories a prediction is nearer to where the device was than its last pose; and the benchmark of it shows that it works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from xr_trajectories import real_trajectories

from benchmarks import _prediction, pose

NEAREST = 2.5
"""Millimetres at 50 ms, of 10 and more when the last pose is held: what constant velocity was seen to reach."""


@pytest.fixture(scope="module")
def trajectories() -> Path:
    return real_trajectories()


def test_real_heads_and_hands_are_predicted_much_nearer_than_held(trajectories: Path) -> None:
    rows = _prediction.rows(trajectories, seconds=8.0)
    assert {row["trajectory"] for row in rows} == {"fr2_desk", "freiburg1_xyz", "V102"}
    for row in rows:
        assert row["poses"] > 300
        assert row["predicted, mm"] < 0.25 * row["held, mm"]
        assert row["predicted, degrees"] < row["held, degrees"]
        assert row["ahead, ms"] != 50 or row["predicted, mm"] < NEAREST


@pytest.mark.slow
@pytest.mark.timeout(300)  # the trainer starts
def test_the_benchmark_follows_a_headset_to_the_engine(trajectories: Path, tmp_path: Path) -> None:
    pose.measure(pose.QUICK, trajectories, tmp_path / "pose.json")

    written = json.loads((tmp_path / "pose.json").read_text())
    assert len(written["prediction"]) == 18
    assert {(row["what"], row["load"]) for row in written["latency"]} == {
        (what, load) for what in ("page to bus", "bus to engine", "error of the page's clock") for load in ("alone", "beside the trainer")
    }
    for row in written["latency"]:
        assert row["poses"] > 0
        assert 0 < row["p50, ms"] <= row["p99, ms"]
        assert row["stated at most, ms"] is None or row["p99, ms"] <= row["stated at most, ms"]
