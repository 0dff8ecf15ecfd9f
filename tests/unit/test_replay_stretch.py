"""What belongs to a replay, when each event is due, and what it carries."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from recorded import received

from bus import replay as replaying
from bus.cli.main import run
from bus.errors import BusFull, FrameTooLarge
from bus.log.records import Entry
from bus.replay import Progress, Schedule, Selection, publish_again, survey
from bus.topic import Delivery


def entry(topic: str, log_time: int, delivery: str = "durable", **fields: Any) -> Entry:  # any field of an envelope
    event = received(topic, {"n": log_time}, log_time, **fields)
    return Entry(topic, delivery, log_time, event.envelope.time, log_time, bytes(event.event_map))


class Published:
    """Takes what a replay publishes; raises what it is given, once each."""

    def __init__(self, *errors: Exception) -> None:
        self.events: list[tuple[str, Delivery, bytes, dict[str, Any]]] = []
        self._errors = list(errors)

    def publish_raw(self, topic: str, plane: Delivery, data: bytes, **fields: Any) -> str:
        if self._errors:
            raise self._errors.pop(0)
        self.events.append((topic, plane, bytes(data), fields))
        return "id"


def published(
    entries: list[Entry], selection: Selection, publisher: Published | None = None, progress: Progress | None = None
) -> list[str]:
    publisher = publisher or Published()
    publish_again(entries, selection, publisher, 0, progress or Progress())  # type: ignore[arg-type]  # as a Publisher does
    return [topic for topic, *_ in publisher.events]


LOG = [
    entry("command.trainer.start", 1, "control"),
    entry("train.step", 2, run="one"),
    entry("agent.heartbeat", 3, "latest"),
    entry("agent.manifest", 4),
    entry("train.step", 5, run="two", replay=True),
    entry("reply.cli-1", 6, "control"),
    entry("xr.pose.head", 7, "latest"),
    entry("bus.ack.x", 8, "control"),
]


@pytest.mark.parametrize(
    ("selection", "topics"),
    [
        (Selection(), ["train.step", "xr.pose.head"]),
        (Selection(replays=True), ["train.step", "train.step", "xr.pose.head"]),
        (Selection(run="one"), ["train.step"]),
        (Selection(run="two"), []),
        (Selection(patterns=("agent.",)), ["train.step", "agent.heartbeat", "agent.manifest", "xr.pose.head"]),
    ],
)
def test_what_belongs_to_a_replay(selection: Selection, topics: list[str]) -> None:
    assert published(LOG, selection) == topics
    stretch = survey(LOG, selection)
    assert stretch.events == len(topics)
    assert sorted(stretch.topics) == sorted(set(topics))


def test_the_original_is_named_and_its_run_and_time_are_kept() -> None:
    publisher = Published()
    published([entry("train.step", 9, run="one", time=77, cause="x/y/1/1")], Selection(), publisher)

    ((topic, plane, data, fields),) = publisher.events
    assert (topic, plane, msgspec.msgpack.decode(data)) == ("train.step", Delivery.DURABLE, {"n": 9})
    assert fields == {"run": "one", "cause": "trainer/train.step/1/9", "time": 77, "replay": True, "timeout": 0}


def test_events_are_due_by_the_first_one_however_late_the_others_were() -> None:
    schedule = Schedule(10.0)
    start = schedule.due(5_000_000_000)

    assert schedule.due(6_000_000_000) - start == pytest.approx(0.1)
    assert schedule.due(9_000_000_000) - start == pytest.approx(0.4)
    assert Schedule(0.0).due(5_000_000_000) == 0.0


def test_a_full_ring_is_waited_for_and_nothing_is_dropped() -> None:
    publisher = Published(BusFull("full"), BusFull("full"))

    assert published(LOG, Selection(), publisher) == ["train.step", "xr.pose.head"]


def test_a_ring_that_stays_full_ends_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "ROOM_TIMEOUT", 0.01)
    with pytest.raises(BusFull, match="recorder"):
        published(LOG, Selection(), Published(*[BusFull("full")] * 1000))


def test_what_no_frame_can_carry_and_what_is_no_event_is_left_out_and_counted() -> None:
    progress = Progress()
    broken = Entry("train.step", "durable", 1, 1, 1, b"\xc0")

    assert published([broken, *LOG], Selection(), Published(FrameTooLarge("big")), progress) == ["xr.pose.head"]
    assert (progress.published, progress.left_out) == (1, 2)


def test_a_wish_to_stop_ends_it_before_the_next_event() -> None:
    progress, publisher = Progress(), Published()

    def stop() -> None:
        progress.stopped = True

    publish_again(LOG, Selection(), publisher, 0, progress, stop)  # type: ignore[arg-type]  # as above
    assert len(publisher.events) == 1


@pytest.mark.parametrize("speed", ["-1", "nan", "fast", "1e300"])
def test_a_pace_that_is_none_is_refused(speed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", "--speed", speed]) == 2
    assert "or max" in capsys.readouterr().err
