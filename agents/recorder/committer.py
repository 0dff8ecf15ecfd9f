"""The recorder's own thread: receives, appends, syncs a group, and then acknowledges.

One thread and not two: libzmq's I/O thread goes on receiving during a sync, and a second one of Python's would only fight for its lock.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time as clock
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from msgspec import Raw

from agents.recorder.intake import Intake, Key
from bus.log.errors import LogWriteError
from bus.log.log import Committed, Log
from bus.publisher import Publisher
from bus.subscriber import Received, Subscriber
from bus.topic import Delivery
from bus.wire import RECORDED, Ack, Envelope, Recorded

BATCH_FRAMES = 500
"""Frames that are taken from the socket at once."""
GROUP_SECONDS = 0.01
"""The longest time of taking events in before they are synced."""
GROUP_EVENTS = 4000
BUSY_EVENTS = 16
"""A group of this many says that events come faster than they can be synced one by one."""
DISTANCE_SECONDS = 0.003
"""Between two groups where several events come in a group: a sync costs the same for few as for many. One alone is synced at once."""
ANNOUNCE_SECONDS = 0.01
"""Between two announcements: each wakes every subscriber."""
REPEAT_SECONDS = 1.0
"""After which the acknowledgement of a stream that changed is sent once more, for who missed it."""
MOST_NAMED = 48 * 1024
"""Bytes of streams and topics that one announcement names; of a group with more, subscribers fetch what is theirs."""
RETRY_SECONDS = 0.5
"""Between two attempts to write while the disk refuses."""
HEADROOM = 100
"""Calls below which the thread works. How deep data may nest depends on the stack: what is taken in here, all must be able to read."""
_POLL = 0.1

T = TypeVar("T")


class Committer:
    """Appends what `subscriber` brings and what the recorder itself publishes, syncs, acknowledges.

    `on_committed` is called after each commit, `on_degraded` with the reason when the disk refuses, with None when it recovers,
    `on_fatal` with what ended the thread.
    """

    def __init__(
        self,
        publisher: Publisher,
        log: Log,
        intake: Intake,
        subscriber: Subscriber,
        on_committed: Callable[[Committed], None],
        on_degraded: Callable[[str | None], None],
        on_fatal: Callable[[Exception], None],
    ) -> None:
        self._own: deque[Received] = deque()
        self._publisher = publisher
        self._log = log
        self._intake = intake
        self._subscriber = subscriber
        self._on_committed = on_committed
        self._on_degraded = on_degraded
        self._on_fatal = on_fatal
        self._gathering = False
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        subscriber.watch(self._wake_read)
        self._repeats: dict[Key, float] = {}
        self._taken = 0
        self._committed = 0.0
        self._group = 0
        self._end = log.end
        self._announced: Recorded | None = None
        self._announced_at = 0.0
        self._stopping = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=lambda: at_depth(HEADROOM, self._run), name="committer", daemon=True)

    @property
    def group(self) -> int:
        """The number of the last announcement. For any thread."""
        return self._group

    @property
    def is_busy(self) -> bool:
        """Whether events come faster than they can be synced one by one. For any thread."""
        return self._taken >= BUSY_EVENTS

    def start(self) -> None:
        self._thread.start()

    def tap(self, topic: str, event_map: bytes, envelope: Envelope) -> None:
        """Take one durable event of the recorder itself, which needs no hub to reach its own log.

        What is said while a group is being gathered (a gap) belongs into it, behind what was said before; everything else into
        the next one, since an acknowledgement may only follow a commit. After `close` it is appended for whoever closes the log.
        """
        self._own.append(Received(topic, Delivery.DURABLE, Raw(event_map), envelope))
        if self._closed or (self._gathering and threading.current_thread() is self._thread):
            self._take_own()
        else:
            with contextlib.suppress(BlockingIOError):  # full of wakes that nobody has read yet
                os.write(self._wake_write, b"o")

    def close(self) -> None:
        """Commit what has arrived, and end. What the recorder says from then on is appended at once, to be synced with the log's end."""
        self._stopping.set()
        self._thread.join()
        with self._publisher.lock:  # `tap` is called under it
            self._closed = True
            self._take_own()
        self._subscriber.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _run(self) -> None:
        try:
            while self._gather() or not self._stopping.is_set():
                if not self._commit():
                    return
                self._committed = clock.monotonic()
                self._acknowledge()
                self._announce()
            self._announce()  # what the last groups held: a stop does not wait for the time of the next one
        except Exception as error:  # the end of a thread without which nothing is acknowledged
            self._on_fatal(error)

    def _gather(self) -> int:
        """Take one group in: what is there, or comes while that is taken in. Returns how many events.

        Where many come, it follows the last one at a distance: a sync costs the same for few events as for many.
        """
        self._subscriber.wait(self._patience())
        if self._taken > 1:
            clock.sleep(max(self._committed + DISTANCE_SECONDS - clock.monotonic(), 0.0))
        until = clock.monotonic() + GROUP_SECONDS
        taken = 0
        self._gathering = True
        try:
            while events := self._subscriber.drain(BATCH_FRAMES):
                for event in events:
                    self._intake.take(event)
                taken += len(events)
                if taken >= GROUP_EVENTS or clock.monotonic() >= until:
                    break
        finally:
            self._gathering = False
        self._taken = taken
        return taken + self._take_own()

    def _patience(self) -> float:
        """Seconds to wait for events: not past the time at which the last group may be announced."""
        if self._stopping.is_set():
            return 0.0
        return max(self._announced_at + ANNOUNCE_SECONDS - self._committed, 0.001) if self._intake.moved else _POLL

    def _take_own(self) -> int:
        if not self._closed:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        waiting = len(self._own)
        for _ in range(waiting):
            self._intake.take_own(self._own.popleft())
        return waiting

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
        wait = ANNOUNCE_SECONDS if self._intake.moved else REPEAT_SECONDS
        if now < self._announced_at + wait and not self._stopping.is_set():
            return
        if self._intake.moved:
            self._group += 1
            self._announced = Recorded(group=self._group, after=self._end, end=self._log.end, streams=self._moved())
            self._end = self._announced.end
        self._announced_at = now
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


def at_depth(calls: int, run: Callable[[], T]) -> T:
    """Run below so many calls, each of them by way of C: some versions of Python count only those."""
    return run() if calls == 0 else next(map(lambda _: at_depth(calls - 1, run), (None,)))
