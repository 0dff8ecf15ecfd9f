"""Backpressure and re-sending, and the recorder's counterpart: together they lose, double and reorder nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bus.ring import FIRST_RESEND, LAST_RESEND, RESEND_EVENTS, Answer, Ring, Sent
from bus.stream import HELD_EVENTS, Stream
from bus.wire import Ack

EPOCH = 7


def filled(count: int, **capacity: int) -> Ring:
    ring = Ring(EPOCH, **capacity)
    for number in range(1, count + 1):
        ring.append("t", str(number).encode(), 0.0)
    return ring


def acknowledge(ring: Ring, last: int, missing: tuple[int, int] | None = None, *, epoch: int = EPOCH, now: float = 1.0) -> Answer:
    return ring.on_ack(Ack(epoch=epoch, last=last, missing=missing), now)


def numbers(events: list[Sent]) -> list[int]:
    return [int(event_map) for _, event_map in events]


def test_a_full_ring_says_so_by_events_and_by_bytes() -> None:
    assert filled(4, capacity=4).is_full
    assert not filled(3, capacity=4).is_full
    assert filled(3, capacity_bytes=3).is_full


def test_an_acknowledgement_makes_room() -> None:
    ring = filled(4, capacity=4)
    acknowledge(ring, 3)

    assert (len(ring), ring.size, ring.floor, ring.last, ring.is_full) == (1, 1, 4, 4, False)


@pytest.mark.parametrize("last", [0, 2, 5, 2**62])
def test_an_old_or_impossible_acknowledgement_changes_nothing(last: int) -> None:
    ring = filled(4)
    acknowledge(ring, 2)

    assert acknowledge(ring, last) == Answer([])
    assert (ring.acknowledged, len(ring)) == (2, 2)


def test_another_epoch_s_acknowledgement_changes_nothing() -> None:
    ring = filled(4)

    assert acknowledge(ring, 3, (1, 4), epoch=EPOCH + 1) == Answer([])
    assert ring.acknowledged == 0


def test_what_is_asked_for_is_what_is_still_held() -> None:
    ring = filled(10)
    acknowledge(ring, 4)

    assert numbers(acknowledge(ring, 4, (5, 6)).again) == [5, 6]
    assert numbers(acknowledge(ring, 4, (9, 99)).again) == [9, 10]
    assert acknowledge(ring, 4, (5, 6)).floor is None


def test_what_was_sent_for_a_question_is_not_sent_for_its_repetition_but_later_it_is() -> None:
    ring = filled(10)

    assert numbers(acknowledge(ring, 4, (5, 9), now=1.0).again) == [5, 6, 7, 8, 9]
    assert acknowledge(ring, 4, (5, 8), now=1.1) == Answer([])
    assert numbers(acknowledge(ring, 6, (7, 9), now=1.15).again) == [7, 8, 9], "there was progress"
    assert numbers(acknowledge(ring, 6, (7, 9), now=1.15 + FIRST_RESEND).again) == [7, 8, 9]


def test_who_asks_for_what_is_gone_hears_the_floor() -> None:
    ring = filled(10)
    acknowledge(ring, 4)
    answer = acknowledge(ring, 4, (2, 6))

    assert (numbers(answer.again), answer.floor) == ([5, 6], 5)


def test_the_time_to_send_again_doubles_until_progress_resets_it() -> None:
    ring, now, pauses = filled(2), 0.0, []
    for _ in range(5):
        assert ring.due is not None
        pauses.append(round(ring.due - now, 3))
        assert ring.on_time(ring.due - 1e-6) == []
        now = ring.due
        assert numbers(ring.on_time(now)) == [1, 2]

    assert pauses == [FIRST_RESEND, 0.4, 0.8, 1.6, LAST_RESEND]
    acknowledge(ring, 1, now=now)
    assert ring.due == pytest.approx(now + FIRST_RESEND)
    acknowledge(ring, 2, now=now)
    assert ring.due is None


def test_after_an_outage_what_piled_up_goes_out_once_as_fast_as_it_is_acknowledged() -> None:
    ring = filled(1000)

    assert numbers(ring.on_hub()) == list(range(1, RESEND_EVENTS + 1))
    assert numbers(acknowledge(ring, 200).again) == list(range(RESEND_EVENTS + 1, 200 + RESEND_EVENTS + 1))
    ring.append("t", b"1001", 0.0)
    rest = [each for last in range(300, 1001, 100) for each in numbers(acknowledge(ring, last).again)]
    assert rest == list(range(200 + RESEND_EVENTS + 1, 1001)), "and what was published since is not among it"


def test_a_stream_appends_in_order_and_asks_for_the_first_gap() -> None:
    stream: Stream[int] = Stream()

    assert stream.offer(1, 1) == [1]
    assert stream.offer(4, 4) == []
    assert stream.missing == (2, 3)
    assert stream.offer(2, 2) == [2]
    assert stream.offer(2, 2) == []
    assert stream.offer(3, 3) == [3, 4]
    assert (stream.last, stream.missing) == (4, None)


def test_a_stream_first_seen_in_the_middle_asks_for_its_beginning() -> None:
    stream: Stream[int] = Stream()

    assert stream.offer(7, 7) == []
    assert stream.missing == (1, 6)


def test_a_floor_gives_up_only_what_the_publisher_cannot_send() -> None:
    stream: Stream[int] = Stream(last=2)
    stream.offer(7, 7)

    assert stream.raise_to(3) is None
    assert stream.raise_to(6) == (3, 5)
    assert (stream.last, stream.missing) == (5, (6, 6))
    assert stream.raise_to(7) == (6, 6)
    assert stream.release() == [7]


def test_what_a_stream_holds_is_bounded() -> None:
    stream: Stream[int] = Stream()
    for seq in range(2, HELD_EVENTS + 100):
        stream.offer(seq, seq)

    assert len(stream.held) == HELD_EVENTS


class Delivery(RuleBasedStateMachine):
    """A ring and a stream over a channel that loses, doubles and reorders; the recorder may forget all that is not synced."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(EPOCH, capacity=50)
        self.stream: Stream[bytes] = Stream()
        self.log: list[bytes] = []
        self.synced: list[bytes] = []
        self.channel: list[tuple[int, bytes]] = []
        self.published = 0

    @precondition(lambda self: not self.ring.is_full)
    @rule(lost=st.booleans())
    def publish(self, lost: bool) -> None:
        seq = self.ring.last + 1
        self.published += 1
        self.ring.append("t", str(seq).encode(), 0.0)
        if not lost:
            self.channel.append((seq, str(seq).encode()))

    @precondition(lambda self: self.channel)
    @rule(data=st.data(), copy=st.booleans())
    def arrive(self, data: st.DataObject, copy: bool) -> None:
        index = data.draw(st.integers(0, len(self.channel) - 1))
        seq, frame = self.channel[index] if copy else self.channel.pop(index)
        self.log += self.stream.offer(seq, frame)

    @rule(acknowledgement_lost=st.booleans())
    def sync(self, acknowledgement_lost: bool) -> None:
        self.synced = list(self.log)
        if not acknowledgement_lost:
            acknowledge(self.ring, self.stream.last)

    @rule()
    def ask(self) -> None:
        if self.stream.missing:
            self._again(self.ring.between(*self.stream.missing))

    @rule()
    def resend(self) -> None:
        self._again(self.ring.between(self.ring.floor, self.ring.last))

    def _again(self, events: list[Sent]) -> None:
        self.channel += [(int(event_map), event_map) for _, event_map in events]

    @rule()
    def crash_recorder(self) -> None:
        self.log = list(self.synced)
        self.stream = Stream(last=len(self.synced))

    @invariant()
    def the_log_is_a_prefix_of_what_was_published(self) -> None:
        assert self.log == [str(seq).encode() for seq in range(1, len(self.log) + 1)]

    @invariant()
    def what_was_acknowledged_is_synced(self) -> None:
        assert self.ring.acknowledged <= len(self.synced)

    def teardown(self) -> None:
        for _ in range(3):
            self.resend()
            while self.channel:
                seq, frame = self.channel.pop(0)
                self.log += self.stream.offer(seq, frame)
            self.sync(acknowledgement_lost=False)
        assert len(self.synced) == self.published
        assert len(self.ring) == 0


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@given(st.permutations(list(range(1, 30))))
def test_any_order_of_arrival_is_appended_in_order(order: list[int]) -> None:
    stream: Stream[int] = Stream()
    appended = [each for seq in order for each in stream.offer(seq, seq)]

    assert appended == list(range(1, 30))
