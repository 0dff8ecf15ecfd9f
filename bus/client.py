"""Joining the bus from a script, a notebook or an agent: publish, flush, read events, call commands. Blocking, and small."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeVar, overload

import zmq
from msgspec import Raw

from bus.address import Addresses, ipc_addresses, tcp_addresses
from bus.connection import Connection
from bus.errors import CorruptFrame
from bus.event import Event
from bus.history import FETCH, LAST, Last, Seen, pages, since_time
from bus.home import find_home
from bus.publisher import PUBLISH_TIMEOUT, Publisher
from bus.rejection import Rejections
from bus.subscriber import Received, Subscriber
from bus.topic import Command, Reply, Request, Topic
from bus.wire import to_event

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
FETCH_TIMEOUT = 10.0
FLUSH_ON_CLOSE = 2.0


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
    """A connection under one source name. Publishing is safe from any thread; close it, or use it as a context manager."""

    def __init__(self, source: str, addresses: Addresses, *, batching: bool = True) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.addresses = addresses
        self.publisher = Publisher(self.context, addresses, source, batching=batching)
        self.rejections = Rejections()
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
    def events(self, *topics: Topic[T], since: str | float | None = None, timeout: float | None = None) -> Iterator[Event[T]]: ...

    @overload
    def events(self, *topics: str, since: str | float | None = None, timeout: float | None = None) -> Iterator[Event[Any]]: ...

    def events(
        self, *topics: Topic[Any] | str, since: str | float | None = None, timeout: float | None = None
    ) -> Iterator[Event[Any]]:  # Any: a name has no struct, its data arrives as plain values
        """Every event of `topics` from this call on, and before that those recorded `since` (`10m`, or seconds).

        A topic may be a declared one, a name, or a prefix that ends in a dot. Ends after `timeout` seconds without an event.
        What does not decode is counted in `rejections` and left out.
        """
        types = {topic.name: topic.type for topic in topics if isinstance(topic, Topic)}
        received = self.received([topic if isinstance(topic, str) else topic.name for topic in topics], since, timeout)
        return self._decoded(received, types)

    def _decoded(self, received: Iterator[Received], types: dict[str, type[Any]]) -> Iterator[Event[Any]]:  # as above
        for event in received:
            try:
                yield to_event(event.topic, event.envelope, types.get(event.topic, object))
            except CorruptFrame as error:
                self.rejections.add(event.topic, event.event_map, str(error))

    def received(self, patterns: list[str], since: str | float | None = None, timeout: float | None = None) -> Iterator[Received]:
        """As `events`, with the data still encoded. No pattern means everything."""
        after = None if since is None else since_time(since)
        subscriber = Subscriber(self.context, self.addresses, patterns or [""], on_rejected=self.rejections.add)
        try:
            subscriber.await_ready(self.publisher, CONNECT_TIMEOUT)
        except BaseException:
            subscriber.close()
            raise
        return self._read(subscriber, patterns, after, timeout)

    def _read(self, subscriber: Subscriber, patterns: list[str], after: int | None, timeout: float | None) -> Iterator[Received]:
        """History, then what arrives."""
        try:
            seen = Seen()
            if after is not None:
                yield from filter(seen.is_new, pages(lambda page: self.call(FETCH, page, timeout=FETCH_TIMEOUT), patterns, after))
            while subscriber.wait(timeout):
                yield from filter(seen.is_new, subscriber.drain())
        finally:
            subscriber.close()

    def last(self, topic: Topic[T]) -> Event[T] | None:
        """The newest recorded event of `topic`, from whichever source; None where there is none. Raises as `call` does."""
        found = list(pages(lambda _: self.call(LAST, Last(topics=[topic.name]), timeout=FETCH_TIMEOUT), [], 0))
        return to_event(topic.name, found[0].envelope, topic.type) if found else None

    def close(self, flush: float = FLUSH_ON_CLOSE) -> None:
        """Wait up to `flush` seconds until all is on disk, say goodbye and leave. Raises BusTimeout, after leaving, for what is not."""
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
