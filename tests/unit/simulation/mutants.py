"""The rules of delivery, each left out: what `test_delivery` must notice.

The numbers are those that the delivery protocol gives its rules.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

import agents.recorder.intake
import bus.log.log
import bus.log.recovery
import bus.log.segment
import bus.publisher
import bus.stream
from agents.recorder.committer import Committer
from agents.recorder.intake import Intake, Key
from bus.errors import FrameTooLarge
from bus.log.disk import sync
from bus.log.log import Log
from bus.log.pending import Numbering, Pending
from bus.log.segment import OpenSegment
from bus.publisher import Publisher
from bus.ring import Answer, Ring, Sent
from bus.stream import Stream
from bus.subscriber import Received
from bus.wire import Ack
from schemas.system import Gap
from simulation import parties
from simulation.clocks import monotonic

PATIENCE = 1.0
"""Seconds after which a recorder that gives up by the clock gives up."""


def a_failed_publish_takes_a_seq(patch: pytest.MonkeyPatch) -> None:
    """Rule 1: a failure takes no seq."""

    class Burning(Publisher):
        def _publish_durable(self, topic: str, data: bytes, *rest: Any) -> str:
            try:
                return super()._publish_durable(topic, data, *rest)
            except FrameTooLarge:
                self.ring.append(topic, b"", monotonic())
                raise

        def _send_again(self, events: list[Sent]) -> None:
            super()._send_again([event for event in events if event[1]])

    patch.setattr(parties, "Publisher", Burning)


def a_full_ring_drops_its_oldest(patch: pytest.MonkeyPatch) -> None:
    """Rule 1: await room; nothing is dropped."""

    class Dropping(Ring):
        is_full = False

        def append(self, topic: str, event_map: bytes, now: float) -> None:
            if len(self) >= self.capacity:
                self.size -= len(self._events.popleft()[1])
                self.acknowledged += 1
            super().append(topic, event_map, now)

    patch.setattr(bus.publisher, "Ring", Dropping)


def a_forked_child_may_publish(patch: pytest.MonkeyPatch) -> None:
    """Rule 1: publishing in a forked child raises."""
    patch.setattr(Publisher, "check_process", lambda self: None)


def the_epoch_is_not_drawn_at_connect(patch: pytest.MonkeyPatch) -> None:
    """Rule 1: the epoch is drawn at connect; here a source keeps its first one, as one drawn at import would be kept by forks."""
    epochs: dict[str, int] = {}

    class Inherited(Publisher):
        def __init__(self, context: Any, addresses: Any, source: str) -> None:
            super().__init__(context, addresses, source)
            self.epoch = epochs.setdefault(source, self.epoch)
            self.ring = bus.publisher.Ring(self.epoch)

    patch.setattr(parties, "Publisher", Inherited)


def the_first_seen_seq_is_the_base(patch: pytest.MonkeyPatch) -> None:
    """Rule 3: `last` counts from 0."""

    class Based(Intake):
        def _take_durable(self, event: Received) -> None:
            key = (event.envelope.source, event.envelope.epoch)
            self.streams.setdefault(key, Stream(last=event.envelope.seq - 1))
            super()._take_durable(event)

    patch.setattr(parties, "Intake", Based)


def duplicates_are_kept(patch: pytest.MonkeyPatch) -> None:
    """Rule 3: what is not above `last` is discarded."""

    class Keeping(Stream[Received]):
        def offer(self, seq: int, event: Received) -> list[Received]:
            return [event] if seq <= self.last else super().offer(seq, event)

    patch.setattr(agents.recorder.intake, "Stream", Keeping)


def duplicates_are_not_acknowledged_again(patch: pytest.MonkeyPatch) -> None:
    """Rule 3: what is not above `last` is acknowledged again."""

    class Silent(Intake):
        def _take_durable(self, event: Received) -> None:
            key = (event.envelope.source, event.envelope.epoch)
            known = key in self.touched
            before = self.streams[key].last if key in self.streams else 0
            super()._take_durable(event)
            if not known and event.envelope.seq <= before:
                self.touched.discard(key)

    patch.setattr(parties, "Intake", Silent)


class Impatient(Intake):
    """Passes over what was missing for PATIENCE seconds."""

    says_so = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._missing_since: dict[Key, float] = {}

    def acknowledgements(self) -> list[tuple[str, Ack]]:
        for key, stream in self.streams.items():
            if stream.missing is None:
                self._missing_since.pop(key, None)
            elif monotonic() - self._missing_since.setdefault(key, monotonic()) >= PATIENCE:
                self._pass_over(key, stream)
        return super().acknowledgements()

    def _pass_over(self, key: Key, stream: Stream[Received]) -> None:
        lost = stream.raise_to(min(stream.held))
        if self.says_so and lost is not None:
            self._on_gap(Gap(source=key[0], epoch=key[1], first=lost[0], last=lost[1]))
        for event in stream.release():
            self._append_durable(key, event)


def time_passes_over_a_gap(patch: pytest.MonkeyPatch) -> None:
    """Rule 3: it never skips because time passed."""
    patch.setattr(parties, "Intake", Impatient)


def time_passes_over_a_gap_and_it_is_said(patch: pytest.MonkeyPatch) -> None:
    """Rule 3, with a gap event for what the publisher still holds."""

    class Talkative(Impatient):
        says_so = True

    patch.setattr(parties, "Intake", Talkative)


def what_waits_above_a_gap_is_unbounded(patch: pytest.MonkeyPatch) -> None:
    """Rule 3: hold a bounded number."""
    patch.setattr(bus.stream, "HELD_EVENTS", 1_000_000)


def it_is_acknowledged_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    """Rule 4: acknowledge only what is synced."""

    class Hasty(Committer):
        def _commit(self) -> bool:
            self._acknowledge()
            return super()._commit()

    patch.setattr(parties, "Committer", Hasty)


def another_epoch_s_acknowledgement_counts(patch: pytest.MonkeyPatch) -> None:
    """Rule 4: publishers ignore other epochs."""

    class Believing(Ring):
        def on_ack(self, ack: Ack, now: float) -> Answer:
            return super().on_ack(msgspec.structs.replace(ack, epoch=self.epoch), now)

    patch.setattr(bus.publisher, "Ring", Believing)


def an_older_acknowledgement_counts(patch: pytest.MonkeyPatch) -> None:
    """Rule 4: publishers ignore smaller numbers."""

    class Forgetful(Ring):
        def on_ack(self, ack: Ack, now: float) -> Answer:
            if ack.epoch == self.epoch:
                self.acknowledged = min(self.acknowledged, ack.last)
            return super().on_ack(ack, now)

    patch.setattr(bus.publisher, "Ring", Forgetful)


def nothing_is_sent_again_by_the_timer(patch: pytest.MonkeyPatch) -> None:
    """Rule 5: without progress the oldest are sent again."""
    patch.setattr(Ring, "on_time", lambda self, now: [])


def nobody_states_a_floor(patch: pytest.MonkeyPatch) -> None:
    """Rule 6: asked for what it no longer holds, a publisher says so."""

    class Mute(Ring):
        def on_ack(self, ack: Ack, now: float) -> Answer:
            return super().on_ack(ack, now)._replace(floor=None)

    patch.setattr(bus.publisher, "Ring", Mute)


def a_floor_is_taken_in_silence(patch: pytest.MonkeyPatch) -> None:
    """Rule 6: the recorder records a gap event."""

    class Discreet(Intake):
        def __init__(self, log: Log, own_source: str, on_rejected: Any, on_gap: Any, is_listening: Any) -> None:
            super().__init__(log, own_source, on_rejected, lambda gap: None, is_listening)

    patch.setattr(parties, "Intake", Discreet)


def a_start_does_not_sync(patch: pytest.MonkeyPatch) -> None:
    """Rule 7: the open segment is synced before what is in it counts."""
    patch.setattr(bus.log.recovery, "sync", lambda fd: None)


def a_start_does_not_rebuild_last(patch: pytest.MonkeyPatch) -> None:
    """Rule 7: the start rebuilds `last`."""

    class Amnesiac(Intake):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.streams.clear()

    patch.setattr(parties, "Intake", Amnesiac)


def a_segment_begins_without_the_table(patch: pytest.MonkeyPatch) -> None:
    """Rule 7: every segment begins with the whole `last` table."""

    class Blank(Log):
        def _new_segment(self, numbering: Numbering) -> OpenSegment:
            committed, self.committed = self.committed, {}
            try:
                return super()._new_segment(numbering)
            finally:
                self.committed = committed

    patch.setattr(parties, "Log", Blank)


def a_failed_sync_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    """Rule 7: a retried fsync proves nothing."""

    def sync_or_sync(fd: int) -> None:
        with contextlib.suppress(OSError):
            return sync(fd)
        return sync(fd)

    patch.setattr(bus.log.segment, "sync", sync_or_sync)


def the_groups_of_a_commit_are_synced_at_once(patch: pytest.MonkeyPatch) -> None:
    """Rule 7: a group is written only when the one before is synced, so that only the last one can be torn."""

    class Hurried(OpenSegment):
        def write(self, groups: Sequence[Pending]) -> None:
            left = iter(range(len(groups) - 1, -1, -1))
            with pytest.MonkeyPatch.context() as meanwhile:
                meanwhile.setattr(bus.log.segment, "sync", lambda fd: next(left) or sync(fd))
                super().write(groups)

    patch.setattr(bus.log.log, "OpenSegment", Hurried)


def a_new_segment_s_folder_is_not_synced(patch: pytest.MonkeyPatch) -> None:
    """Rule 7: folders are fsynced."""
    patch.setattr(bus.log.segment, "sync_folder", lambda folder: None)


MUTANTS = (
    a_failed_publish_takes_a_seq,
    a_full_ring_drops_its_oldest,
    a_forked_child_may_publish,
    the_epoch_is_not_drawn_at_connect,
    the_first_seen_seq_is_the_base,
    duplicates_are_kept,
    duplicates_are_not_acknowledged_again,
    time_passes_over_a_gap,
    time_passes_over_a_gap_and_it_is_said,
    what_waits_above_a_gap_is_unbounded,
    it_is_acknowledged_before_the_sync,
    another_epoch_s_acknowledgement_counts,
    an_older_acknowledgement_counts,
    nothing_is_sent_again_by_the_timer,
    nobody_states_a_floor,
    a_floor_is_taken_in_silence,
    a_start_does_not_sync,
    a_start_does_not_rebuild_last,
    a_segment_begins_without_the_table,
    a_failed_sync_is_tried_again,
    the_groups_of_a_commit_are_synced_at_once,
    a_new_segment_s_folder_is_not_synced,
)
