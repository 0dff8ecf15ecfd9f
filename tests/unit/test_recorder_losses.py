"""What a publisher sent and the log will never have is counted by topic."""

from __future__ import annotations

from pathlib import Path

import msgspec
from recorded import open_log, received

from agents.recorder.intake import Intake
from agents.recorder.tally import MOST_TOPICS
from bus.subscriber import Received
from bus.topic import Delivery
from bus.wire import Floor


def intake_on(folder: Path) -> Intake:
    return Intake(open_log(folder), "recorder", lambda *_: None, lambda _: None, lambda _: True)


def pose(nth: int, topic: str = "xr.pose", epoch: int = 1) -> Received:
    return msgspec.structs.replace(received(topic, {}, nth, nth=nth, source="xr", epoch=epoch), plane=Delivery.LATEST)


def test_poses_that_the_recorder_did_not_see_are_counted(tmp_path: Path) -> None:
    intake = intake_on(tmp_path)
    for event in (pose(5), pose(6), pose(9), pose(1, "xr.hand"), pose(10), pose(1, epoch=2), pose(3, epoch=2)):
        intake.take(event)

    assert intake.losses.lost == {"xr.pose": 3}
    assert intake.recorded == {"xr.pose": 6, "xr.hand": 1}


def test_a_durable_hole_counts_for_the_topics_that_it_shows_in(tmp_path: Path) -> None:
    intake = intake_on(tmp_path)
    intake.take(received("train.step", {}, 1))
    intake.take(received("train.step", {}, 5, prev=4))
    intake.take(received("bus.floor", Floor(epoch=1, floor=5)))
    intake.take(received("train.eval", {}, 6))
    intake.take(received("train.step", {}, 7, prev=5))

    assert intake.losses.lost == {"train.step": 1}


def test_topics_that_strangers_choose_do_not_pile_up(tmp_path: Path) -> None:
    intake = intake_on(tmp_path)
    for nth in (1, 3):
        for number in range(2 * MOST_TOPICS):
            for epoch in (1, 2):
                intake.take(pose(nth, f"lab.x{(number + epoch * MOST_TOPICS) % (2 * MOST_TOPICS)}", epoch))

    assert len(intake.losses.lost) == MOST_TOPICS + 1
    assert intake.losses.lost["other"] == MOST_TOPICS
    assert [len(topics) for topics in intake.losses._newest.values()] == [MOST_TOPICS] * 2
