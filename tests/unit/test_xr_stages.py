"""The way of a head's poses: each stage from the one before it, and how far ahead a prediction has to be."""

from __future__ import annotations

import pytest

from agents.xr.timing.stages import LONGEST_HORIZON, MOST, SETTLED, Stages
from schemas.xr import Latency, Pose

MS = 1_000_000
START = 1_790_000_000_000_000_000
LATER = START + 10 * SETTLED


def published(stages: Stages, sampled: int = START, *, sent: int | None = 1) -> None:
    """Sent, received and published 1, 2 and 3 ms after it was sampled."""
    pose = Pose(
        origin="webxr",
        kind="real",
        sequence=1,
        position=(0, 0, 0),
        orientation=(0, 0, 0, 1),
        tracking="tracked",
        sent=None if sent is None else sampled + sent * MS,
        received=sampled + 2 * MS,
        published=sampled + 3 * MS,
    )
    stages.published(pose, sampled)


def shown(stages: Stages, sampled: int = START) -> None:
    """The rest of its way, in steps of 10 ms from then on."""
    stages.wished(sampled + 4 * MS, sampled)
    stages.applied(sampled + 4 * MS, sampled + 10 * MS)
    stages.drawn(sampled, sampled + 20 * MS)
    stages.composed(sampled, sampled + 30 * MS)
    stages.shown(sampled, sampled + 40 * MS)


def closed(stages: Stages) -> Latency:
    latency = stages.close(LATER, None)
    assert latency is not None
    return latency


def steps(latency: Latency) -> dict[str, float]:
    return {stage.stage: round(stage.p50 * 1000, 3) for stage in latency.stages}


def test_each_stage_takes_what_it_takes_from_the_one_before() -> None:
    stages = Stages()
    published(stages)
    shown(stages)
    latency = closed(stages)
    assert steps(latency) == {"sent": 1, "received": 1, "published": 1, "applied": 7, "drawn": 10, "composed": 10, "shown": 10}
    assert latency.page_to_bus is not None
    assert latency.motion_to_photon is not None
    assert (latency.page_to_bus.p50, latency.motion_to_photon.p99) == (0.002, 0.04)


def test_what_a_source_does_not_stamp_is_left_out_and_nothing_is_made_up() -> None:
    stages = Stages()
    published(stages, sent=None)
    stages.drawn(START, START + 20 * MS)
    latency = closed(stages)
    assert steps(latency) == {"received": 2, "published": 1, "drawn": 17}
    assert (latency.page_to_bus, latency.motion_to_photon) == (None, None)


def test_stages_may_be_told_in_any_order() -> None:
    stages = Stages()
    stages.wished(START + 4 * MS, START)
    published(stages)
    stages.drawn(START, START + 20 * MS)
    stages.applied(START + 4 * MS, START + 10 * MS)
    assert steps(closed(stages)) == {"sent": 1, "received": 1, "published": 1, "applied": 7, "drawn": 10}


def test_a_stamp_before_that_of_the_stage_before_it_took_no_time() -> None:
    stages = Stages()
    published(stages)
    stages.drawn(START, START + 2 * MS)
    assert steps(closed(stages))["drawn"] == 0


def test_of_a_picture_that_is_drawn_twice_the_first_time_counts() -> None:
    stages = Stages()
    published(stages)
    stages.drawn(START, START + 20 * MS)
    stages.drawn(START, START + 36 * MS)
    assert steps(closed(stages))["drawn"] == 17


def test_a_pose_counts_once_and_only_when_it_had_time_to_be_shown() -> None:
    stages = Stages()
    published(stages)
    assert stages.close(START + SETTLED - 1, None) is None
    assert closed(stages).stages[0].count == 1
    assert stages.close(LATER, None) is None


def test_stages_of_poses_that_nobody_knows_are_ignored() -> None:
    stages = Stages()
    shown(stages)
    assert stages.close(LATER, None) is None


def test_only_the_newest_poses_are_remembered() -> None:
    stages = Stages()
    for number in range(MOST + 50):
        published(stages, START + number)
        stages.wished(START + number, START + number)
    assert closed(stages).stages[0].count == MOST


def test_the_horizon_is_the_median_to_where_it_is_drawn_and_stays() -> None:
    stages = Stages()
    horizons = [stages.horizon]
    for number, milliseconds in enumerate((20, 90, 30)):
        sampled = START + number * 100 * MS
        published(stages, sampled)
        horizons.append(stages.horizon)
        stages.wished(sampled, sampled)
        stages.applied(sampled, sampled + 10 * MS)
        horizons.append(stages.horizon)
        stages.drawn(sampled, sampled + milliseconds * MS)
    closed(stages)
    assert horizons[:3] == [0.0, 0.003, 0.01]
    assert stages.horizon == pytest.approx(0.03)


def test_nothing_is_predicted_further_ahead_than_heads_are_predictable() -> None:
    stages = Stages()
    published(stages)
    stages.drawn(START, START + 400 * MS)
    assert stages.horizon == LONGEST_HORIZON
