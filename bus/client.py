"""Joining the bus from a script, a notebook or an agent: publish, flush, read events, call commands. Blocking, and small."""

from __future__ import annotations

import os
import time as clock
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, TypeVar, overload

import structlog
import zmq
from msgspec import Raw
from msgspec.structs import replace

from bus.address import Addresses, ipc_addresses, tcp_addresses
from bus.connection import Connection
from bus.errors import BusError, CorruptFrame
from bus.event import Event
from bus.gap import RETRY_SECONDS, Gap, Gaps
from bus.history import FETCH, LAST, STREAMS, Fetch, Fetched, Last, StreamTable, pages, received, since_time, whole_table
from bus.home import find_home
from bus.publisher import PUBLISH_TIMEOUT, Publisher
from bus.reader import Reader, report
from bus.rejection import Rejections
from bus.subscriber import Received, Subscriber, matcher
from bus.topic import Command, Delivery, Reply, Request, Topic
from bus.wire import RECORDED, to_event

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
FETCH_TIMEOUT = 10.0
FILL_TIMEOUT = 2.0
"""Seconds that a subscriber with a gap waits for a page before it asks again: less than it has patience for."""
TABLE_TIMEOUT = 2.0
"""Seconds that a subscription waits for a recorder that is there and does not answer."""
FLUSH_ON_CLOSE = 2.0

_log = structlog.get_logger()


def connect(source: str | None = None, *, hub: str | None = None, timeout: float = CONNECT_TIMEOUT, batching: bool = True) -> Client:
    """Join the bus as `source` (`cli-<pid>` if not given), at the appliance that BUS_HOME or the current folder names, or at `hub`.

    `hub` is `tcp://127.0.0.1:PORT`. Without `batching` each event is sent alone, also under load.

    Raises NoHub where none answers within `timeout` seconds, NoHome, ValueError.
    """
    addresses = tcp_addresses(hub) if hub else ipc_addresses(find_home())
    client = Client(source or f"cli-{os.getpid()}", addresses, batching=batching)
    try:
        client.await_ready(timeout)
    except BaseException:
        client.abandon()
        raise
    return client


class Client:
    """A connection under one source name. Publishing is safe from any thread; close it, or use it as a context manager.

    `rejections` counts what did not decode, `gaps` stretches of events that a reader missed and could not have.
    """

    def __init__(self, source: str, addresses: Addresses, *, batching: bool = True) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.addresses = addresses
        self.publisher = Publisher(self.context, addresses, source, batching=batching)
        self.rejections = Rejections()
        self.gaps = 0
        self._connection = Connection(self.context, addresses, self.publisher, self.rejections.add)

    @property
    def source(self) -> str:
        return self.publisher.source

    def await_ready(self, timeout: float) -> None:
        """Return once the hub is there and replies can arrive. Raises NoHub, BusTimeout."""
        self._connection.await_ready(timeout)

    def publish(
        self,
        topic: Topic[T],
        data: T,
        *,
        run: str | None = None,
        cause: str | None = None,
        time: int | None = None,
        timeout: float = PUBLISH_TIMEOUT,
        attachments: tuple[bytes, ...] = (),
    ) -> str:
        """Publish one event and return its id; see Publisher.publish."""
        return self.publisher.publish(topic, data, run=run, cause=cause, time=time, timeout=timeout, attachments=attachments)

    def flush(self, timeout: float) -> None:
        """Return when everything published before is on disk. Raises BusTimeout."""
        self.publisher.flush(timeout)

    def call(self, command: Command[Request, Reply], request: Request | None = None, *, timeout: float) -> Reply:
        """Ask an agent and return its reply; without `request`, the command's request with its defaults.

        Raises NoHub, NoSuchAgent, AgentGone, CommandRefused or BusTimeout.
        """
        return self._connection.call(command, command.request() if request is None else request, timeout)

    def call_raw(self, command: Command[Any, Any], request: bytes, *, timeout: float) -> Raw:  # Any: whichever command is named
        """As `call`, with request and result in MessagePack."""
        return self._connection.call_raw(command, request, timeout)

    @overload
    def events(
        self, *topics: Topic[T], since: str | float | None = None, last: bool = False, timeout: float | None = None
    ) -> Iterator[Event[T]]: ...

    @overload
    def events(
        self, *topics: str, since: str | float | None = None, last: bool = False, timeout: float | None = None
    ) -> Iterator[Event[Any]]: ...

    def events(
        self, *topics: Topic[Any] | str, since: str | float | None = None, last: bool = False, timeout: float | None = None
    ) -> Iterator[Event[Any]]:  # Any: a name has no struct, its data arrives as plain values
        """Every event of `topics` from this call on, and before that those recorded `since` (`10m`, or seconds), or the `last` of each.

        A topic may be a declared one, a name, or a prefix that ends in a dot. Ends after `timeout` seconds without an event.
        Durable events that are lost on the way are fetched from the recorder and arrive in their order; what cannot be had is
        logged and counted in `gaps`. What does not decode is counted in `rejections` and left out.
        """
        types = {topic.name: topic.type for topic in topics if isinstance(topic, Topic)}
        received = self.received([topic if isinstance(topic, str) else topic.name for topic in topics], since, timeout, last=last)
        return self._decoded(received, types)

    def _decoded(self, received: Iterator[Received], types: dict[str, type[Any]]) -> Iterator[Event[Any]]:  # as above
        for event in received:
            try:
                yield to_event(event.topic, event.envelope, types.get(event.topic, object), event.attachments)
            except CorruptFrame as error:
                self.rejections.add(event.topic, event.event_map, str(error))

    def received(
        self, patterns: list[str], since: str | float | None = None, timeout: float | None = None, *, last: bool = False
    ) -> Iterator[Received]:
        """As `events`, with the data still encoded. No pattern means everything."""
        self.publisher.check_process()
        after = None if since is None else since_time(since)
        if (last and not all(patterns)) or any(pattern.endswith(".") for pattern in patterns if last):
            raise ValueError(f"the last event of {patterns}: want names of topics")
        subscriber = Subscriber(self.context, self.addresses, [*(patterns or [""]), RECORDED], on_rejected=self.rejections.add)
        try:
            reader = self.open_reader(subscriber, patterns or [""])
            newest = list(self.newest(patterns, reader.begun)) if last and after is None else []
        except BaseException:
            subscriber.close()
            raise
        past = newest if after is None else pages(self._page, patterns, after)
        return self._read(reader, subscriber, past, timeout)

    def open_reader(self, subscriber: Subscriber, patterns: list[str]) -> Reader:
        """Follow `patterns` from now on. Raises NoHub, BusTimeout."""
        subscriber.await_ready(self.publisher, CONNECT_TIMEOUT)
        table = self._table() if patterns else None
        wants = matcher(tuple(patterns))
        if table is None:
            begun = clock.time_ns()
            gaps: Gaps[Received] = Gaps(wants, None, begun)
        else:
            begun = table.end
            known = {(source, epoch): seq for source, epoch, seq in table.streams}
            gaps = Gaps(wants, known, begun, (table.epoch, table.group))
        return Reader(subscriber, patterns, gaps, begun, self.rejections.add, self._on_gap)

    def _table(self) -> StreamTable | None:
        """What the recorder has of each stream, None where there is no recorder, or none that answers."""
        if not self.publisher.listeners.has(Delivery.DURABLE, f"command.{STREAMS.agent}.".encode()):
            return None
        try:
            return whole_table(lambda request: self.call(STREAMS, request, timeout=TABLE_TIMEOUT))
        except BusError as error:
            _log.warning("the recorder does not say what it has: gaps before the first event of a stream are not seen", reason=str(error))
            return None

    def fetch_missing(self, page: Fetch) -> Fetched | None:
        """What a reader wants from the log, None where the recorder does not answer."""
        try:
            return self.call(FETCH, page, timeout=FILL_TIMEOUT)
        except BusError:
            return None

    def _on_gap(self, gap: Gap) -> None:
        self.gaps += 1
        report(gap)

    def _read(self, reader: Reader, subscriber: Subscriber, past: Iterable[Received], timeout: float | None) -> Iterator[Received]:
        """History, then what arrives."""
        try:
            yield from reader.history(past)
            deadline = _after(timeout)
            while True:
                events = reader.take()
                if (wanted := reader.wanted()) is not None:
                    page = self.fetch_missing(wanted)
                    events += reader.fill(page)
                    deadline = deadline if page is None else _after(timeout)
                if events:
                    yield from events
                    deadline = _after(timeout)
                elif wanted is None and not _wait(subscriber, reader, deadline):
                    return
        finally:
            subscriber.close()

    def _page(self, page: Fetch) -> Fetched:
        return self.call(FETCH, page, timeout=FETCH_TIMEOUT)

    def newest(self, topics: list[str], until: int | None = None) -> Iterator[Received]:
        """The newest recorded event of each of these topics, from whichever source; none that is newer than log time `until`.

        Raises as `call` does.
        """
        page = self.call(LAST, Last(topics=topics), timeout=FETCH_TIMEOUT)
        return received(page if until is None else replace(page, events=[event for event in page.events if event[2] <= until]))

    def last(self, topic: Topic[T]) -> Event[T] | None:
        """The newest recorded event of `topic`, from whichever source; None where there is none. Raises as `call` does."""
        found = next(self.newest([topic.name]), None)
        return to_event(topic.name, found.envelope, topic.type) if found else None

    def close(self, flush: float = FLUSH_ON_CLOSE) -> None:
        """Wait up to `flush` seconds until all is on disk, say goodbye and leave. Raises BusTimeout, after leaving, for what is not.

        In a forked child this does nothing, as `abandon`.
        """
        if self.publisher.is_forked:
            return
        try:
            self.publisher.flush(flush)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave at once. In a forked child this does nothing: the connection is the parent's."""
        if self.publisher.is_forked:
            return
        self._connection.close()
        self.context.destroy(linger=500)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _after(timeout: float | None) -> float | None:
    return None if timeout is None else clock.monotonic() + timeout


def _wait(subscriber: Subscriber, reader: Reader, deadline: float | None) -> bool:
    """Whether there may be something to take: before the deadline, or while the reader waits for what is missing, never for long."""
    left = None if deadline is None else max(deadline - clock.monotonic(), 0.0)
    if reader.is_behind:
        subscriber.wait(RETRY_SECONDS)
        return True
    return subscriber.wait(left)
