"""The recorder agent: what it keeps, answers and publishes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Set
from functools import partial
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from agents.recorder import past
from agents.recorder.committer import Committer
from agents.recorder.compactor import Compactor
from agents.recorder.drawing import Drawer
from agents.recorder.intake import Intake
from agents.recorder.pages import PLACE_SECONDS, Pages
from agents.recorder.projections import Projector
from agents.recorder.run_files import RunFiles
from bus.agent import Agent, Bus, answers, every
from bus.client import Client
from bus.errors import BusFull, CommandRefused
from bus.history import FETCH, LAST, STREAMS, Fetch, Fetched, Last, Streams, StreamTable
from bus.lifecycle import TOPICS
from bus.log.errors import DamagedSegment
from bus.log.folder import list_segments, size_of
from bus.log.log import Committed, Log
from bus.subscriber import Subscriber
from bus.topic import Delivery, Nothing
from bus.wire import decode_envelope
from schemas import catalogue, system

RECEIVE_MARK = 20_000
"""Frames that wait in the recorder's socket while a group is synced."""
LAST_EVENTS = 3.5
"""Seconds that the recorder waits, when it is told to stop, for the others to leave."""
QUIET = 0.1
"""Seconds without a new event after the last of them has left."""


class RecorderSettings(Struct, frozen=True, kw_only=True):
    """The open segment is closed and compressed at `segment_bytes`, or once its first event is `segment_seconds` old.

    Where the log is larger than `keep_bytes`, its oldest events go, except those that lineage needs.
    """

    segment_bytes: Annotated[int, Meta(ge=64 * 1024)] = 64 * 1024 * 1024
    segment_seconds: Annotated[float, Meta(ge=1.0)] = 3600.0
    keep_bytes: Annotated[int, Meta(ge=64 * 1024)] = 8 * 1024 * 1024 * 1024


class Recorder(Agent):
    """Keeps every event, acknowledges what is on disk, answers for the past, and writes the files that a run leaves."""

    stop_seconds = LAST_EVENTS + 0.5
    publishes = (system.GAP, system.PROJECTED)
    Settings = RecorderSettings

    client: Client

    def __init__(self, bus: Bus, settings: RecorderSettings, artifacts: Path) -> None:
        super().__init__(bus, settings, artifacts)
        self._troubles: dict[str, str | None] = {}
        self._damaged: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def connected(self, client: Client) -> None:
        """Take the connection itself: the recorder receives everything, and acknowledges."""
        self.client = client

    def start(self) -> None:
        schemas = {topic.name: topic.type for topic in (*catalogue.topics().values(), *TOPICS)}
        self.recording = Log.open(
            self.artifacts / "log",
            schemas,
            segment_bytes=self.settings.segment_bytes,
            segment_seconds=self.settings.segment_seconds,
        )
        for repair in self.recording.repairs:
            self.log.warning("the log was repaired", what=str(repair))
        self.pages = Pages(self.recording, self._on_damage)
        self.intake = Intake(self.recording, self.name, self.client.rejections.add, self._on_gap, self._is_listening)
        self._forget_own_streams()
        subscriber = Subscriber(
            self.client.context,
            self.client.addresses,
            [""],
            on_rejected=self.client.rejections.add,
            high_water_mark=RECEIVE_MARK,
        )
        subscriber.await_ready(self.client.publisher, 5.0)
        self.drawer = Drawer(self.artifacts)
        self.projector = Projector(
            self.artifacts,
            self.recording,
            self._on_projected,
            self.drawer.ask,
            partial(self._on_unwritten, "run files", "run files are not written"),
            self._on_damage,
            partial(self._on_unwritten, "audit", "the audit of the Petals peer is not written"),
            partial(self._on_unwritten, "bridge", "the files of the bridge to an engine are not written"),
            partial(self._on_unwritten, "xr", "the files of poses are not written"),
        )
        self.committer = Committer(
            self.client.publisher, self.recording, self.intake, subscriber, self._on_committed, self._on_degraded, self._on_fatal
        )
        self.compactor = Compactor(
            self.artifacts / "log",
            self.settings.keep_bytes,
            lambda: self.committer.is_busy,
            self._on_compaction,
            self._on_damage,
            self._on_kept,
        )
        self.client.publisher.tap = self.committer.tap
        self.committer.start()

    async def stop(self) -> None:
        """Wait until everybody else has left and nothing more arrives; not where nothing could be kept of it."""
        if self._troubles.get("log"):
            return
        await asyncio.to_thread(self.client.publisher.listeners.wait_until, Delivery.DURABLE, self._is_alone, LAST_EVENTS)
        await asyncio.sleep(QUIET)

    async def close(self) -> None:
        await asyncio.to_thread(self.committer.close)
        await asyncio.to_thread(self.projector.close)
        has_ended = await asyncio.to_thread(self.compactor.close)
        self.intake.end((self.name, self.client.publisher.epoch))  # synced with the log's end
        await asyncio.to_thread(self.recording.close, rewrite=has_ended)
        await asyncio.to_thread(self.drawer.close)

    @every(seconds=PLACE_SECONDS / 2)
    def forget_places(self) -> None:
        self.pages.forget()

    @answers(FETCH)
    async def fetch(self, request: Fetch) -> Fetched:
        return await asyncio.to_thread(self.pages.fetch, request)

    @answers(STREAMS)
    async def streams(self, request: Streams) -> StreamTable:
        return past.streams(self.recording, self.client.publisher.epoch, self.committer.group, request.after)

    @answers(LAST)
    async def last(self, request: Last) -> Fetched:
        return await asyncio.to_thread(past.last, self.recording, request.topics, self._on_damage)

    @answers(system.PROJECT)
    async def project(self, request: system.Project) -> system.Folders:
        try:
            folders = await asyncio.to_thread(self.projector.again, request.run)
        except LookupError as error:
            raise CommandRefused("no_such_run", str(error)) from error
        return system.Folders(folders=[str(folder.relative_to(self.artifacts)) for folder in folders])

    @answers(system.STATUS)
    async def status(self, request: Nothing) -> system.RecorderStatus:
        segments = await asyncio.to_thread(list_segments, self.artifacts / "log")
        return system.RecorderStatus(
            state=self.state,
            reason=self.reason,
            recorded=dict(self.intake.recorded),
            lost=dict(self.intake.losses.lost),
            held=self.intake.held,
            streams=len(self.intake.streams),
            segments=len(segments),
            size=sum(size_of(segment) for segment in segments),
        )

    def _is_listening(self, source: str) -> bool:
        """Whether a publisher still listens for its acknowledgements."""
        return self.client.publisher.listeners.has(Delivery.DURABLE, f"bus.ack.{source}\0".encode())

    def _is_alone(self, listeners: Set[bytes]) -> bool:
        """Whether nobody else who has published still listens for acknowledgements. Who only watches is not waited for."""
        sources = {source for source, _ in list(self.intake.streams)} - {self.name}
        return not any(f"bus.ack.{source}\0".encode() in listeners for source in sources)

    def _forget_own_streams(self) -> None:
        """Earlier recorders of this log are gone: this one holds its lock."""
        for source, epoch in list(self.intake.streams):
            if source == self.name:
                self.intake.end((source, epoch))

    def _on_gap(self, gap: system.Gap) -> None:
        self.log.error(
            "events are lost: their publisher no longer holds them", **{name: getattr(gap, name) for name in gap.__struct_fields__}
        )
        with contextlib.suppress(BusFull):  # said by the committer, which alone can make room: it must not wait for itself
            self.client.publish(system.GAP, gap, timeout=0)

    def _on_committed(self, committed: Committed) -> None:
        self.projector.grown()
        if committed.ended is not None:
            self.compactor.wake()

    def _on_degraded(self, reason: str | None) -> None:
        self._trouble("log", reason and f"{reason}: nothing is acknowledged until the disk takes it")

    def _trouble(self, part: str, reason: str | None) -> None:
        """Note what is wrong with one part, None: nothing any more; the state says what is wrong with any.

        The state is said under the lock, or an older one could be said last. Whoever holds the publisher's lock, as the tap does,
        may not call this: saying it takes that one second. It never waits for room, which only the committer can make.
        """
        with self._lock:
            if self._troubles.get(part) == reason:
                return
            self._troubles[part] = reason
            reasons = [each for each in self._troubles.values() if each]
            self.set_state("degraded" if reasons else "running", "; ".join(reasons) or None)

    def _on_fatal(self, error: Exception) -> None:
        """A recorder without its threads would acknowledge nothing for ever: end, and let the supervisor start another."""
        try:
            self.log.error("a thread of the recorder ended", exc_info=error)
            self._trouble("log", f"a thread ended: {error}")
        finally:  # also where what broke the thread breaks this
            os.kill(os.getpid(), signal.SIGTERM)

    def _on_projected(self, files: RunFiles) -> None:
        before = self.recording.last(system.PROJECTED.name, self._on_damage)
        if before is None or decode_envelope(before.topic, before.data).run != files.run:
            folder = Path("runs") / files.run
            self.publish(system.PROJECTED, system.Projected(folder=str(folder), files=files.names), run=files.run)

    def _on_unwritten(self, part: str, what: str, error: Exception | None) -> None:
        if error is not None:
            self.log.error(what, exc_info=error)
        self._trouble(part, None if error is None else f"{what}: {error}")

    def _on_damage(self, damage: DamagedSegment) -> None:
        """Say each place once, however often it is read."""
        place = damage.path.name, damage.offset
        with self._lock:
            if place in self._damaged:
                return
            self._damaged.add(place)
        self.log.error("the log is damaged: what is left of it is read", path=str(damage.path), offset=damage.offset, why=damage.why)
        self._trouble("damage", f"the log is damaged, as in {damage.path.name} at byte {damage.offset}: bus verify names every place")

    def _on_compaction(self, error: Exception | None) -> None:
        if error is not None:
            self.log.error("a finished segment could not be rewritten, and stays as it is", error=type(error).__name__, message=str(error))
        self._trouble("compaction", None if error is None else f"a finished segment could not be rewritten, and stays as it is: {error}")

    def _on_kept(self, is_within: bool) -> None:
        limit = f"the log is larger than keep_bytes = {self.settings.keep_bytes}, and what may go is gone"
        self._trouble("log size", None if is_within else limit)
