"""What the recorder does with each event: order, duplicates, gaps, floors, goodbyes, strangers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded import open_log, received

from agents.recorder import intake, tally
from agents.recorder.intake import Intake
from bus.log.log import Log
from bus.wire import Ack, Bye, Floor
from schemas.system import Gap

KEY = ("trainer", 1)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = open_log(tmp_path)
    yield log
    log.close()


class Desk:
    """An intake, with what it rejects and gives up."""

    def __init__(self, log: Log) -> None:
        self.rejected: list[str] = []
        self.gaps: list[Gap] = []
        self.present = {"trainer"}
        self.log = log
        self.intake = Intake(
            log,
            "recorder",
            lambda topic, frame, reason: self.rejected.append(topic),
            self.gaps.append,
            lambda source: source in self.present,
        )

    def take(self, *seqs: int) -> None:
        for seq in seqs:
            self.intake.take(received("train.step", {"n": seq}, seq))

    def recorded(self) -> list[int]:
        self.log.commit()
        return [entry.sequence for entry in self.log.read()]


def test_events_are_logged_once_and_in_order(log: Log) -> None:
    desk = Desk(log)

    desk.take(1, 3, 2, 2, 1, 4, 3)
    assert desk.recorded() == [1, 2, 3, 4]
    assert desk.intake.acknowledgements() == [("trainer", Ack(epoch=1, last=4))]
    assert desk.intake.acknowledgements() == []


def test_a_gap_is_asked_for_and_never_skipped(log: Log) -> None:
    desk = Desk(log)

    desk.take(1, 4, 5)
    assert desk.recorded() == [1]
    assert desk.intake.acknowledgements() == [("trainer", Ack(epoch=1, last=1, missing=(2, 3)))]
    assert desk.intake.held == 2


def test_a_duplicate_is_acknowledged_again(log: Log) -> None:
    desk = Desk(log)
    desk.take(1)
    desk.intake.acknowledgements()

    desk.take(1)
    assert desk.intake.acknowledgements() == [("trainer", Ack(epoch=1, last=1))]


def test_a_floor_is_recorded_as_a_gap_and_recording_goes_on(log: Log) -> None:
    desk = Desk(log)
    desk.take(4, 5)

    desk.intake.take(received("bus.floor", Floor(epoch=1, floor=4)))
    assert desk.gaps == [Gap(source="trainer", epoch=1, first=1, last=3)]
    assert desk.recorded() == [4, 5]


def test_a_gap_is_told_before_what_follows_it_and_only_once(log: Log) -> None:
    told: list[list[int]] = []
    rejected: list[str] = []
    desk = Intake(
        log, "recorder", lambda topic, *_: rejected.append(topic), lambda gap: told.append(list(log.streams.values())), lambda source: True
    )
    for seq in (1, 4):
        desk.take(received("train.step", {}, seq))

    for _ in range(2):
        desk.take(received("bus.floor", Floor(epoch=1, floor=4)))
    assert told == [[1]]


def test_a_floor_of_a_stream_that_misses_nothing_changes_nothing(log: Log) -> None:
    desk = Desk(log)
    desk.take(1, 2)

    for floor in (Floor(epoch=1, floor=2), Floor(epoch=9, floor=100)):
        desk.intake.take(received("bus.floor", floor))
    assert desk.gaps == []
    assert desk.intake.streams[KEY].last == 2


def test_a_stream_is_forgotten_after_its_goodbye_and_not_before(log: Log) -> None:
    desk = Desk(log)
    desk.take(1, 3)

    desk.intake.take(received("bus.bye", Bye(epoch=1, last=3)))
    assert KEY in desk.intake.streams
    desk.take(2)
    desk.intake.take(received("bus.bye", Bye(epoch=1, last=3)))
    assert KEY not in desk.intake.streams
    assert desk.recorded() == [1, 2, 3]
    assert KEY not in log.committed


def test_a_restarted_recorder_goes_on_where_the_disk_ends(tmp_path: Path) -> None:
    first = open_log(tmp_path)
    desk = Desk(first)
    desk.take(1, 2)
    desk.recorded()
    desk.take(3)  # never synced
    first._held.close()  # the lock falls as it does when the process dies

    again = open_log(tmp_path)
    desk = Desk(again)
    desk.take(3, 4)
    assert desk.recorded() == [1, 2, 3, 4]
    again.close()


def test_foreign_events_and_commands_are_logged_as_seen(log: Log) -> None:
    desk = Desk(log)

    for _ in range(2):
        desk.intake.take(received("lab.temperature", {"celsius": 21.5}))
        desk.intake.take(received("command.trainer.stop", {}, 1))
    assert len(desk.recorded()) == 4
    assert desk.intake.acknowledgements() == []


def test_the_recorder_s_own_answers_are_not_logged_again(log: Log) -> None:
    desk = Desk(log)

    desk.intake.take(received("reply.cli-1", {}, 1, source="recorder"))
    desk.intake.take(received("reply.cli-1", {}, 1, source="trainer"))
    assert len(desk.recorded()) == 1


@pytest.mark.parametrize("topic", ["bus.floor", "bus.bye"])
def test_control_that_does_not_decode_is_rejected(log: Log, topic: str) -> None:
    desk = Desk(log)

    desk.intake.take(received(topic, {"epoch": "yesterday"}))
    desk.intake.take(received("bus.unheard_of", {}))
    assert desk.rejected == [topic]
    assert desk.recorded() == []


def test_what_strangers_claim_is_bounded(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MOST_STREAMS", 2)
    size = len(bytes(received("train.step", {"n": 4}, 4).event_map))
    monkeypatch.setattr(intake, "MOST_HELD", 3 * size)
    monkeypatch.setattr(tally, "MOST_TOPICS", 2)
    desk = Desk(log)

    for epoch in (1, 2, 3):
        desk.intake.take(received("train.step", {}, 1, epoch=epoch))
    assert desk.rejected == ["train.step"]
    desk.intake.take_own(received("agent.state", {}, 1, source="recorder"))
    desk.intake.end(("recorder", 1))
    desk.take(4, 5, 6, 7)
    assert desk.intake.held == 3
    desk.take(2, 3)
    assert desk.recorded() == [1, 1, 1, 2, 3, 4, 5, 6]
    desk.take(8)  # what was released makes room again
    assert desk.intake.held == 1
    for number in range(5):
        desk.intake.take(received(f"lab.x{number}", {}))
        desk.intake.take(received(f"reply.cli-{number}", {}, 1))
    assert set(desk.intake.recorded) == {"train.step", "agent.state", "reply.", "other"}


def test_a_full_table_forgets_who_is_gone_before_it_refuses_a_newcomer(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MOST_STREAMS", 2)
    desk = Desk(log)
    for source, seq in (("gone", 3), ("trainer", 1)):
        desk.intake.take(received("train.step", {}, seq, source=source))

    desk.intake.take(received("train.step", {}, 1, source="new"))
    assert desk.rejected == []
    assert desk.intake.held == 0, "nor does what waited for the gone one's missing events stay"
    assert {source for source, _ in desk.intake.streams} == {"trainer", "new"}


def test_what_was_held_and_released_is_not_counted_any_more(log: Log) -> None:
    desk = Desk(log)
    desk.take(3, 4, 6, 6, 2, 8)
    desk.intake.take(received("bus.floor", Floor(epoch=1, floor=2)))

    assert desk.intake.held == 2
    assert desk.intake._held_bytes == sum(len(bytes(e.event_map)) for e in desk.intake.streams[KEY].held.values())
    desk.take(5, 7)
    assert (desk.intake.held, desk.intake._held_bytes) == (0, 0)
