"""What a subscriber delivers where events are lost on the way to it: all of them, once, in order, or a gap that says so."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from bus import gap
from bus.gap import HELD_EVENTS, PATIENCE, Gap, Gaps
from bus.wire import Envelope, Recorded

RECORDER = 1
STREAM = ("trainer", 7)


class Event(NamedTuple):
    topic: str
    envelope: Envelope


class Publisher:
    """Numbers events as a publisher does."""

    def __init__(self) -> None:
        self.seq = 0
        self.previous: dict[str, int] = {}

    def event(self, topic: str = "a.b") -> Event:
        self.seq += 1
        envelope = Envelope(source=STREAM[0], epoch=STREAM[1], seq=self.seq, prev=self.previous.get(topic, 0), time=1, data=Raw(b"\xc0"))
        self.previous[topic] = self.seq
        return Event(topic, envelope)

    def events(self, count: int, topic: str = "a.b") -> list[Event]:
        return [self.event(topic) for _ in range(count)]


class Follower:
    """A subscriber and its recorder: `log` is what was recorded, in groups; a log time is a position in it."""

    def __init__(self, table: dict[tuple[str, int], int] | None = None) -> None:
        self.gaps: Gaps[Event] = Gaps(lambda topic: topic != "un.wanted", {} if table is None else table, 0, (RECORDER, 0))
        self.log: list[Event] = []
        self.group = 0
        self.delivered: list[int] = []
        self.given_up: list[Gap] = []
        self.now = 0.0

    def arrive(self, *events: Event) -> None:
        self.delivered += [event.envelope.seq for event in events if self.gaps.arrive(event, self.now)]

    def record(self, *events: Event, heard: bool = True) -> None:
        after = len(self.log)
        self.log += events
        self.group += 1
        if heard:
            self.announce({event.topic: event.envelope.seq for event in events}, after)

    def announce(self, topics: dict[str, int], after: int) -> None:
        streams = [(*STREAM, topics)]
        self.gaps.announced(RECORDER, Recorded(group=self.group, after=after, end=len(self.log), streams=streams), self.now)

    def fetch(self, limit: int = 1000) -> bool:
        """One page, if one is wanted."""
        after = self.gaps.wanted(self.now)
        if after is None:
            return False
        page = [event for event in self.log[after : after + limit] if event.topic != "un.wanted"]
        end = min(after + limit, len(self.log))
        gaps, freed = self.gaps.fill(page, end, end == len(self.log), self.now)
        self.given_up += gaps
        self.delivered += [event.envelope.seq for event in freed]
        return True

    def of(self, topic: str) -> tuple[list[int], list[int]]:
        """The seq of a topic's events that were recorded, and that were delivered."""
        recorded = [event.envelope.seq for event in self.log if event.topic == topic]
        return recorded, [seq for seq in self.delivered if seq in recorded]

    def wait(self, seconds: float) -> None:
        self.now += seconds
        gaps, freed = self.gaps.expire(self.now)
        self.given_up += gaps
        self.delivered += [event.envelope.seq for event in freed]


def test_what_arrives_twice_is_delivered_once() -> None:
    follower, events = Follower(), Publisher().events(3)
    follower.arrive(*events, *events)

    assert follower.delivered == [1, 2, 3]


def test_what_was_recorded_before_the_subscription_is_not_delivered() -> None:
    follower, events = Follower({STREAM: 3}), Publisher().events(5)
    follower.arrive(*events)

    assert follower.delivered == [4, 5]


def test_a_hole_is_filled_from_the_log_before_newer_events() -> None:
    follower, events = Follower(), Publisher().events(6)
    follower.arrive(events[0], events[3])
    assert not follower.fetch(), "the recorder has not said that it has anything"
    follower.record(*events[:4])
    assert follower.fetch()
    follower.arrive(events[4])

    assert follower.delivered == [1, 2, 3, 4, 5]
    assert not follower.gaps.is_behind


def test_a_lost_last_event_is_missed_by_the_recorder_s_word() -> None:
    follower, events = Follower(), Publisher().events(3)
    follower.arrive(*events[:2])
    follower.record(*events)
    follower.fetch()

    assert follower.delivered == [1, 2, 3]


def test_a_lost_announcement_makes_everything_since_suspect() -> None:
    follower, events = Follower(), Publisher().events(4)
    follower.arrive(events[0])
    follower.record(events[0])
    follower.record(*events[1:3], heard=False)
    follower.record(events[3])
    follower.fetch()

    assert follower.delivered == [1, 2, 3, 4]


def test_a_second_loss_while_the_first_is_fetched_is_fetched_too() -> None:
    follower, events = Follower(), Publisher().events(6)
    follower.record(*events[:2], heard=False)
    follower.record(*events[2:4])
    follower.fetch(limit=2)
    follower.record(events[4], heard=False)
    follower.record(events[5])
    while follower.fetch():
        follower.now += 0.5

    assert follower.delivered == [1, 2, 3, 4, 5, 6]
    assert not follower.gaps.is_behind


def test_a_topic_that_nobody_wants_is_not_missed() -> None:
    follower, publisher = Follower(), Publisher()
    first, _, last = publisher.event(), publisher.event("un.wanted"), publisher.event()
    follower.arrive(first, last)
    follower.record(publisher.event("un.wanted"))

    assert follower.delivered == [1, 3]
    assert not follower.fetch()


def test_another_stream_does_not_wait() -> None:
    follower, events = Follower(), Publisher().events(3)
    follower.arrive(events[0], events[2])
    other = Event("a.b", Envelope(source="power", epoch=9, seq=1, time=1, data=Raw(b"\xc0")))

    assert follower.gaps.arrive(other, 0.0)
    assert follower.delivered == [1]


def test_without_a_recorder_a_gap_is_passed_over_in_the_end() -> None:
    follower, events = Follower(), Publisher().events(5)
    follower.arrive(events[0], events[3], events[4])
    follower.wait(PATIENCE - 0.1)
    assert follower.delivered == [1]
    follower.wait(0.2)

    assert follower.delivered == [1, 4, 5]
    assert follower.given_up == [Gap(*STREAM, "a.b", 1, 4)]


def test_an_announced_event_that_cannot_be_fetched_is_passed_over_in_the_end() -> None:
    follower, events = Follower(), Publisher().events(2)
    follower.arrive(events[0])
    follower.record(*events)
    follower.wait(PATIENCE)

    assert follower.given_up == [Gap(*STREAM, "a.b", 1, 3)]
    assert not follower.gaps.is_behind


def test_without_a_table_a_stream_begins_where_it_is_first_seen() -> None:
    follower, events = Follower(), Publisher().events(6)
    follower.gaps = Gaps(lambda _: True, None)
    follower.arrive(events[2], events[3])
    follower.arrive(events[5])
    follower.record(*events)
    follower.fetch()

    assert follower.delivered[:2] == [3, 4]
    assert follower.delivered[-2:] == [5, 6]


def test_what_is_held_is_bounded_and_the_rest_comes_from_the_log() -> None:
    count = HELD_EVENTS + 500
    follower, events = Follower(), Publisher().events(count)
    follower.arrive(*events[1:])
    follower.record(*events)
    while follower.fetch(limit=100):
        continue

    assert follower.delivered == list(range(1, count + 1))


@settings(max_examples=300, deadline=None)
@given(data=st.data(), has_table=st.booleans())
def test_in_spite_of_any_loss_everything_recorded_is_delivered_once_and_in_a_topic_s_order(data: st.DataObject, has_table: bool) -> None:
    follower, publisher, waiting = Follower(), Publisher(), list[Event]()
    follower.gaps = Gaps(lambda _: True, {} if has_table else None, 0, (RECORDER, 0) if has_table else None)
    for _ in range(data.draw(st.integers(1, 30))):
        match data.draw(st.sampled_from(["publish", "record", "fetch"])):
            case "publish":
                event = publisher.event(data.draw(st.sampled_from(["a.b", "a.c"])))
                waiting.append(event)
                if data.draw(st.booleans()):
                    follower.arrive(event)
            case "record" if waiting:
                follower.record(*waiting, heard=data.draw(st.booleans()))
                waiting.clear()
            case "fetch":
                follower.fetch(limit=data.draw(st.integers(1, 4)))
        follower.now += 0.01
    follower.record(*waiting, publisher.event())
    for _ in range(60):
        follower.now += 0.1
        follower.fetch()
        follower.wait(0)

    for topic in ("a.b", "a.c"):  # between topics only a gap that shows by `prev` holds newer events back
        recorded, delivered = follower.of(topic)
        assert delivered == [seq for seq in recorded if has_table or seq >= delivered[0]]  # without a table, from the first that is seen
    assert follower.given_up == []


@pytest.mark.parametrize("streams", [None, []])
def test_a_group_of_which_the_recorder_cannot_name_everything_is_fetched(streams: list[tuple[str, int, dict[str, int]]] | None) -> None:
    follower, events = Follower(), Publisher().events(2)
    follower.log += events
    follower.gaps.announced(RECORDER, Recorded(group=1, after=0, end=2, streams=streams), 0.0)

    assert follower.fetch() == (streams is None)
    assert follower.delivered == ([1, 2] if streams is None else [])


def test_history_holds_what_was_recorded_of_streams_that_have_ended() -> None:
    follower, events = Follower({("power", 9): 1}), Publisher().events(3)

    assert [follower.gaps.is_past(event) for event in events] == [True] * 3
    follower.arrive(*events)
    assert follower.delivered == []


def test_the_time_in_which_the_subscriber_itself_stood_still_is_no_waiting() -> None:
    follower, events = Follower(), Publisher().events(3)
    follower.arrive(events[0])
    follower.record(*events)
    follower.wait(0.1)
    follower.wait(30.0)
    assert follower.given_up == []
    follower.fetch()

    assert follower.delivered == [1, 2, 3]


def test_an_announcement_from_before_the_table_is_no_news() -> None:
    follower, events = Follower(), Publisher().events(1)
    follower.gaps = Gaps(lambda _: True, {}, 0, (RECORDER, 10))
    follower.gaps.announced(RECORDER, Recorded(group=8, after=0, end=0, streams=[]), 0.0)
    assert not follower.gaps.is_behind
    follower.gaps.announced(RECORDER, Recorded(group=11, after=0, end=0, streams=[]), 0.0)
    follower.arrive(*events)

    assert not follower.gaps.is_behind
    assert follower.delivered == [1]


def test_what_has_arrived_is_not_delivered_again_as_history() -> None:
    for table in (None, {("power", 9): 1}):
        follower, events = Follower(), Publisher().events(3)
        follower.gaps = Gaps(lambda _: True, table)
        follower.arrive(*events[:2])

        assert [follower.gaps.is_past(event) for event in events] == [False, False, True]
        follower.arrive(*events)
        assert follower.delivered == [1, 2]


def test_nothing_is_given_up_while_the_log_is_being_read() -> None:
    follower, events = Follower(), Publisher().events(200)
    follower.record(*events[:100], heard=False)
    follower.record(*events[100:150], heard=False)
    follower.announce({}, 100)  # one is missing: anything may be
    follower.arrive(*events[190:])
    for _ in range(14):
        follower.fetch(limit=10)
        follower.wait(PATIENCE / 4)
    follower.record(*events[150:])
    while follower.fetch(limit=10):
        follower.wait(PATIENCE / 4)

    assert follower.given_up == []
    assert follower.delivered == list(range(1, 201))


def test_a_publisher_that_is_heard_again_and_again_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap, "MOST_STREAMS", 100)
    follower, events = Follower(), Publisher().events(500)
    for number, event in enumerate(events):
        follower.now += 1
        follower.arrive(event)
        once = Envelope(source="cli", epoch=number + 1, seq=1, time=1, data=Raw(b"\xc0"))
        assert follower.gaps.arrive(Event("a.b", once), follower.now)
        assert len(follower.gaps._streams) <= 100
    follower.arrive(*events)

    assert follower.delivered == list(range(1, 501))


def test_a_subscriber_that_fell_far_behind_comes_back_to_what_arrives() -> None:
    follower, publisher = Follower(), Publisher()
    first, late = publisher.events(HELD_EVENTS + 2), publisher.events(20)
    follower.arrive(*first[1:])
    follower.record(*first)
    follower.record(*late[:10])
    for _ in range(2):
        follower.fetch(limit=len(first) // 2)
    follower.arrive(*late[5:])
    assert follower.gaps.is_behind
    follower.record(*late[10:], heard=True)
    follower.fetch(limit=10)

    assert follower.delivered == list(range(1, publisher.seq + 1))
    assert not follower.gaps.is_behind, "the end of the log need not be reached where all that it has is held"


def test_a_gap_that_the_log_has_itself_is_said() -> None:
    follower, events = Follower(), Publisher().events(5)
    follower.record(events[0], events[3], events[4])
    follower.fetch()

    assert follower.delivered == [1, 4, 5]
    assert follower.given_up == [Gap(*STREAM, "a.b", 1, 4)]


def test_what_has_arrived_fills_a_gap_that_the_log_has() -> None:
    follower, events = Follower(), Publisher().events(5)
    follower.arrive(events[0], events[2])
    follower.record(events[0], events[3], events[4])
    follower.fetch()

    assert follower.delivered == [1, 3, 4, 5]
    assert follower.given_up == [Gap(*STREAM, "a.b", 1, 3)]


def test_a_stream_that_loses_a_little_all_the_time_and_is_filled_is_never_given_up() -> None:
    follower, publisher = Follower(), Publisher()
    waiting: list[Event] = []
    for _ in range(1000):
        events = publisher.events(5)
        follower.arrive(events[0], *events[2:])
        follower.record(*waiting)
        waiting = events
        follower.fetch()
        follower.wait(0.02)

    assert follower.given_up == []
    assert follower.delivered == list(range(1, follower.delivered[-1] + 1))
    assert follower.delivered[-1] > publisher.seq - 20


def test_a_topic_that_only_waits_for_another_has_no_gap() -> None:
    follower, publisher = Follower(), Publisher()
    first, lost, last = publisher.event("a.b"), publisher.event("a.c"), publisher.event("a.b")
    follower.arrive(first)
    follower.record(first, lost)
    follower.arrive(last)
    follower.wait(PATIENCE)

    assert follower.delivered == [1, 3]
    assert follower.given_up == [Gap(*STREAM, "a.c", 0, 3)]


def test_what_is_sent_again_and_arrives_late_is_no_gap() -> None:
    follower, events = Follower(), Publisher().events(5)
    follower.arrive(events[0], events[2], events[4], events[1])
    follower.wait(PATIENCE)

    assert follower.delivered == [1, 2, 3, 5]
    assert follower.given_up == [Gap(*STREAM, "a.b", 3, 5)]


def test_without_a_table_what_was_announced_unheard_is_fetched_too() -> None:
    follower, events = Follower(), Publisher().events(4)
    follower.gaps = Gaps(lambda _: True, None, 0)
    follower.arrive(events[0])
    follower.record(*events[:2], heard=False)
    follower.arrive(events[2])
    follower.record(*events[2:])
    follower.fetch()

    assert follower.delivered == [1, 2, 3, 4]
    assert follower.given_up == []


def test_what_is_said_again_makes_nothing_suspect_again() -> None:
    follower, events = Follower(), Publisher().events(2)
    follower.log += events
    unnamed = Recorded(group=1, after=0, end=2, streams=None)
    follower.gaps.announced(RECORDER, unnamed, 0.0)
    follower.fetch()
    follower.gaps.announced(RECORDER, unnamed, 1.0)

    assert follower.delivered == [1, 2]
    assert not follower.gaps.is_behind
