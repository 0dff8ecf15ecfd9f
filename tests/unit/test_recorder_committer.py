"""The committer acknowledges what is synced, and nothing else, also through a disk that refuses for a while."""

from __future__ import annotations

import queue
import threading
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw
from recorded import open_log, received

from agents.recorder import committer
from agents.recorder.committer import HEADROOM, Committer, at_depth
from agents.recorder.intake import Intake
from bus.errors import CorruptFrame
from bus.log.errors import LogWriteError
from bus.log.log import Committed, Log
from bus.log.reader import read_folder
from bus.subscriber import Received
from bus.wire import Ack, Envelope, Recorded, decode_envelope, encode_envelope, pack_frame, split_frame


class Inbox:
    """What arrives."""

    def __init__(self) -> None:
        self.batches: queue.Queue[list[Received]] = queue.Queue()

    def watch(self, descriptor: int) -> None:
        """Nobody has to be woken who asks again at once."""

    def wait(self, timeout: float) -> bool:
        threading.Event().wait(0.001)
        return not self.batches.empty()

    def drain(self, limit: int) -> list[Received]:
        return [] if self.batches.empty() else self.batches.get()

    def close(self) -> None:
        """Nothing to close."""


class Outbox:
    """Notes each acknowledgement with what the log had synced of that stream at the moment it was sent."""

    source = "recorder"

    def __init__(self, log: Log) -> None:
        self.sent: list[tuple[str, int, int]] = []
        self.announced: list[tuple[Recorded, int]] = []
        self.acknowledged = threading.Event()
        self.lock = threading.RLock()
        self._log = log

    def send_control(self, topic: str, data: Ack | Recorded) -> None:
        if isinstance(data, Recorded):
            self.announced.append((data, self._log.end))
        else:
            self.note(topic.removeprefix("bus.ack."), data)

    def on_ack(self, ack: Ack) -> None:
        self.note(self.source, ack)

    def note(self, source: str, ack: Ack) -> None:
        self.sent.append((source, ack.last, self._log.committed.get((source, ack.epoch), 0)))
        if source == "trainer":
            self.acknowledged.set()


class Bench:
    """A committer between an outbox and an inbox, in which `count` events lie, on a log whose first `failures` commits fail."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, failures: int, count: int) -> None:
        monkeypatch.setattr(committer, "RETRY_SECONDS", 0.01)
        self.log = open_log(folder)
        self.failures, self.inbox, self.outbox, self.degraded = failures, Inbox(), Outbox(self.log), []
        self.fatal: list[Exception] = []
        self._commit: Callable[[], Committed] = self.log.commit
        monkeypatch.setattr(self.log, "commit", self.commit)
        intake = Intake(self.log, "recorder", lambda *_: None, lambda _: None, lambda _: True)
        parts: Any = (self.outbox, self.log, intake, self.inbox)  # as far as the committer needs them
        self.committer = Committer(*parts, lambda _: None, self.on_degraded, self.fatal.append)
        self.inbox.batches.put([received("train.step", {}, seq + 1) for seq in range(count)])  # before an empty group can be committed
        self.committer.start()

    def commit(self) -> Committed:
        if self.failures > 0:
            self.failures -= 1
            raise LogWriteError("no space left")
        return self._commit()

    def on_degraded(self, reason: str | None) -> None:
        self.degraded.append(reason)
        self.say(len(self.degraded))

    def say(self, seq: int) -> None:
        """Publish an event of the recorder's own."""
        event = received("agent.state", {}, seq, source="recorder")
        with self.outbox.lock:
            self.committer.tap(event.topic, bytes(event.event_map), event.envelope)

    def end(self, last_words: int = 0) -> None:
        self.committer.close()
        for seq in range(1, last_words + 1):
            self.say(seq)
        self.failures = 0
        self.log.close()


@pytest.mark.parametrize("failures", [0, 2])
def test_nothing_is_acknowledged_before_it_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    bench = Bench(tmp_path, monkeypatch, failures, count=2)
    assert bench.outbox.acknowledged.wait(10)
    bench.end()

    assert all(last <= synced for _, last, synced in bench.outbox.sent), bench.outbox.sent
    assert ("trainer", 2, 2) in bench.outbox.sent
    assert bench.degraded == (["no space left", None] if failures else [])
    (announced, end), *_ = bench.outbox.announced
    assert (announced.group, announced.streams, announced.end) == (1, [("trainer", 1, {"train.step": 2})], end)
    assert announced.after < announced.end, "what was announced is on disk by then"
    assert bench.fatal == []


def test_what_is_committed_last_is_announced_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "ANNOUNCE_SECONDS", 60.0)
    bench = Bench(tmp_path, monkeypatch, failures=0, count=2)
    assert bench.outbox.acknowledged.wait(10)
    bench.inbox.batches.put([received("train.step", {}, 3)])
    while ("trainer", 3, 3) not in bench.outbox.sent:
        bench.outbox.acknowledged.wait(0.01)
    bench.end()

    assert bench.outbox.announced[-1][0].streams == [("trainer", 1, {"train.step": 3})]


def test_told_to_stop_while_the_disk_refuses_it_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch, failures=10**9, count=1)
    while not bench.degraded:
        bench.outbox.acknowledged.wait(0.01)
    bench.end()

    assert bench.outbox.sent == []
    assert bench.degraded == ["no space left"]


def test_what_the_recorder_says_after_its_committer_has_ended_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch, failures=0, count=1)
    bench.end(last_words=3)

    recorded = [(entry.topic, entry.sequence) for entry in read_folder(tmp_path / "log")]
    assert recorded == [("train.step", 1), *(("agent.state", seq) for seq in (1, 2, 3))]
    assert bench.fatal == []


def test_what_ended_the_thread_does_not_meet_who_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, monkeypatch, failures=0, count=0)
    reported = threading.Event()

    def report(error: Exception) -> None:
        bench.say(1)
        reported.set()

    monkeypatch.setattr(bench.committer, "_on_fatal", report)
    with monkeypatch.context() as broken:
        broken.setattr(bench.log, "append", lambda *_: 1 / 0)
        bench.inbox.batches.put([received("train.step", {}, 1)])
        assert reported.wait(10)
    bench.end()
    assert [entry.topic for entry in read_folder(tmp_path / "log")] == ["agent.state"]


def nested(depth: int) -> bytes:
    """A frame of one event whose data are so many arrays, one in the other."""
    data = b"\x91" * depth + b"\xc0"
    return pack_frame("lab.nest", [encode_envelope("lab.nest", Envelope(source="lab", time=1, epoch=1, seq=1, data=Raw(data)))])


def deepest(taken: Callable[[bytes], bool]) -> int:
    """How deep the deepest event is that is taken."""
    return bisect_left(range(20_000), True, key=lambda depth: not taken(nested(depth))) - 1


def is_read(frame: bytes) -> bool:
    try:
        topic, maps = split_frame(frame)
        decode_envelope(topic, maps[0])
    except CorruptFrame:
        return False
    return True


def test_what_is_taken_in_nests_less_deep_than_readers_can_read() -> None:
    taken: list[int] = []
    thread = threading.Thread(target=lambda: at_depth(HEADROOM, lambda: taken.append(deepest(is_read))))
    thread.start()
    thread.join(30)

    assert taken[0] > 100
    assert is_read(nested(taken[0] + 10)), "a page of the log wraps an event in a few arrays more"
    assert at_depth(HEADROOM // 2, lambda: is_read(nested(taken[0])))
