"""The recorder's two threads: one receives, so that a sync never stops it; one appends, syncs a group, and then acknowledges."""

from __future__ import annotations

import contextlib
import queue
import threading
import time as clock
from collections import deque
from collections.abc import Callable

from msgspec import Raw

from agents.recorder.intake import Intake, Key
from bus.log.errors import LogWriteError
from bus.log.log import Committed, Log
from bus.publisher import Publisher
from bus.subscriber import Received, Subscriber
from bus.topic import Delivery
from bus.wire import RECORDED, Ack, Envelope, Recorded

BATCH_EVENTS = 1000
WAITING_BATCHES = 16
"""Received batches that wait for the disk; above this nothing is received, and publishers keep their events."""
GROUP_SECONDS = 0.01
"""The longest that an event waits for company before its group is synced."""
GROUP_EVENTS = 4000
REPEAT_SECONDS = 1.0
"""After which the acknowledgement of a stream that changed is sent once more, for who missed it."""
MOST_NAMED = 48 * 1024
"""Bytes of streams and topics that one announcement names; of a group with more, subscribers fetch what is theirs."""
RETRY_SECONDS = 0.5
"""Between two attempts to write while the disk refuses."""
_POLL = 0.1


class Receiver:
    """Reads everything from both planes into batches, on its own thread."""

    def __init__(self, subscriber: Subscriber, on_fatal: Callable[[Exception], None]) -> None:
        self.batches: queue.Queue[list[Received]] = queue.Queue(WAITING_BATCHES)
        self._subscriber = subscriber
        self._on_fatal = on_fatal
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="receiver", daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether nothing that was received waits for the committer."""
        return self.batches.empty()

    def wake(self) -> None:
        """Let the committer look: a full queue does so by itself."""
        with contextlib.suppress(queue.Full):
            self.batches.put_nowait([])

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _receive(self) -> None:
        try:
            while not self._stopping.is_set():
                if self._subscriber.wait(_POLL):
                    received = self._subscriber.drain(BATCH_EVENTS)
                    self._hand_over([event._replace(attachments=()) if event.attachments else event for event in received])
        except Exception as error:  # the end of a thread without which nothing is recorded
            self._on_fatal(error)
        finally:
            self._subscriber.close()

    def _hand_over(self, batch: list[Received]) -> None:
        while batch and not self._stopping.is_set():
            try:
                self.batches.put(batch, timeout=_POLL)
                return
            except queue.Full:
                continue


class Committer:
    """Appends what the receiver brings and what the recorder itself publishes, syncs, acknowledges.

    `on_committed` is called after each commit, `on_degraded` with the reason when the disk refuses, with None when it recovers,
    `on_fatal` with what ended the thread.
    """

    def __init__(
        self,
        publisher: Publisher,
        log: Log,
        intake: Intake,
        receiver: Receiver,
        on_committed: Callable[[Committed], None],
        on_degraded: Callable[[str | None], None],
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self._own: deque[Received] = deque()
        self._publisher = publisher
        self._log = log
        self._intake = intake
        self._receiver = receiver
        self._on_committed = on_committed
        self._on_degraded = on_degraded
        self._on_fatal = on_fatal
        self._gathering = False
        self._repeats: dict[Key, float] = {}
        self._group = 0
        self._end = log.end
        self._announced: Recorded | None = None
        self._say_again = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    @property
    def group(self) -> int:
        """The number of the last announcement. For any thread."""
        return self._group

    def start(self) -> None:
        self._thread.start()

    def tap(self, topic: str, event_map: bytes, envelope: Envelope) -> None:
        """Take one durable event of the recorder itself, which needs no hub to reach its own log.

        What is said while a group is being gathered (a gap) belongs into it; everything else into the next one, since an
        acknowledgement may only follow a commit.
        """
        event = Received(topic, Delivery.DURABLE, Raw(event_map), envelope)
        if self._gathering and threading.current_thread() is self._thread:
            self._intake.take(event)
        else:
            self._own.append(event)
            self._receiver.wake()

    def close(self) -> None:
        """Commit what has arrived, and end."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not (self._stopping.is_set() and not self._own and self._receiver.is_idle):
                self._take(self._gather())
                if not self._commit():
                    return
                self._acknowledge()
                self._announce()
        except Exception as error:  # the end of a thread without which nothing is acknowledged
            self._on_fatal(error)

    def _take(self, group: list[Received]) -> None:
        self._gathering = True
        for event in group:
            self._intake.take(event)
        self._gathering = False

    def _gather(self) -> list[Received]:
        """One group: what is there, or comes within a moment; never waits for company."""
        group: list[Received] = []
        with contextlib.suppress(queue.Empty):
            group += self._receiver.batches.get(timeout=_POLL)
            until = clock.monotonic() + GROUP_SECONDS
            while len(group) < GROUP_EVENTS and clock.monotonic() < until:
                group += self._receiver.batches.get_nowait()
        while self._own:
            group.append(self._own.popleft())
        return group

    def _commit(self) -> bool:
        """Sync the group, however long the disk refuses. False when told to stop before it is on disk."""
        degraded = False
        while True:
            try:
                self._on_committed(self._log.commit())
                break
            except LogWriteError as error:
                if not degraded:
                    self._on_degraded(str(error))
                degraded = True
                if self._stopping.wait(RETRY_SECONDS):
                    return False
        if degraded:
            self._on_degraded(None)
        return True

    def _acknowledge(self) -> None:
        now = clock.monotonic()
        for source, ack in self._intake.acknowledgements():
            self._send(source, ack)
            self._repeats[(source, ack.epoch)] = now + REPEAT_SECONDS
        for key in [key for key, due in self._repeats.items() if due <= now]:
            del self._repeats[key]
            if key in self._intake.streams:
                self._send(key[0], self._intake.acknowledgement(key))

    def _announce(self) -> None:
        """Tell subscribers what is on disk, so that they see what they missed; without news, once a second what was said last."""
        now = clock.monotonic()
        if self._intake.moved:
            self._group += 1
            self._announced = Recorded(group=self._group, after=self._end, end=self._log.end, streams=self._moved())
            self._end = self._announced.end
        elif now < self._say_again:
            return
        self._say_again = now + REPEAT_SECONDS
        if self._announced is not None:
            self._publisher.send_control(RECORDED, self._announced)

    def _moved(self) -> list[tuple[str, int, dict[str, int]]] | None:
        moved = [(source, epoch, topics) for (source, epoch), topics in self._intake.moved.items()]
        self._intake.moved.clear()
        named = sum(len(source) + sum(len(topic) + 10 for topic in topics) + 20 for source, _, topics in moved)
        return moved if named <= MOST_NAMED else None

    def _send(self, source: str, ack: Ack) -> None:
        if source == self._publisher.source:
            self._publisher.on_ack(ack)
        else:
            self._publisher.send_control(f"bus.ack.{source}", ack)
