"""One connection to the hub: a publisher, an inbox for replies and acknowledgements, and the I/O thread that serves both."""

from __future__ import annotations

import os
import select
import threading
import time as clock

import msgspec
import zmq

from bus.address import Addresses
from bus.errors import AgentGone, BusError, BusTimeout, CommandRefused, CorruptFrame, NoHub, NoSuchAgent
from bus.publisher import Publisher
from bus.ring import FIRST_RESEND
from bus.subscriber import Received, Rejection, Subscriber, subscription
from bus.topic import Command, Delivery, Reply, Request
from bus.wire import Ack, CommandCall, CommandReply, decode_data, encode_data

GONE_AFTER = 0.2
"""Seconds for which an agent's subscription must be away: its reply may still be on the way, or the hub restarting."""
CLOSE_TIMEOUT = 2.0
_POLL_STEP = 0.001
HUB_PATIENCE = 2.0
"""Seconds for which a command waits for a hub that is away: its supervisor restarts it in one."""


class Connection:
    """Serves `publisher`: its acknowledgements, its timers, and the commands that it calls."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], addresses: Addresses, publisher: Publisher, on_rejected: Rejection) -> None:
        self.publisher = publisher
        self._on_rejected = on_rejected
        self._closed = False
        self.inbox = f"{publisher.source[:40]}-{publisher.epoch:x}"
        self._replies: dict[str, CommandReply | None] = {}
        patterns = [f"bus.ack.{publisher.source}", f"reply.{self.inbox}"]
        self._subscriber = Subscriber(context, addresses, patterns, planes=[Delivery.DURABLE], on_rejected=on_rejected)
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._serve, name=f"bus-{publisher.source}", daemon=True)
        self._thread.start()

    def await_ready(self, timeout: float) -> None:
        """Return once both planes stand, and replies and acknowledgements can arrive. Raises NoHub, BusTimeout."""
        self.publisher.check_process()
        # The inbox is unique and the last of our subscriptions in byte order, so it serves as the probe.
        self.publisher.listeners.wait(Delivery.DURABLE, subscription(f"reply.{self.inbox}"), timeout)
        self.publisher.listeners.wait(Delivery.LATEST, b"", timeout)

    def call(self, command: Command[Request, Reply], request: Request, timeout: float) -> Reply:
        """Ask an agent and return its reply.

        Raises NoSuchAgent at once where nobody listens, NoHub where the hub stays away, AgentGone when the agent vanishes,
        CommandRefused when it says no, and BusTimeout: the command may then have run.
        """
        reply = self.call_raw(command, encode_data(request), timeout)
        return decode_data(command.topic, reply, command.reply)

    def call_raw(self, command: Command[Request, Reply], request: bytes, timeout: float) -> msgspec.Raw:
        """As `call`, with request and result in MessagePack."""
        self.publisher.check_process()
        listening = f"command.{command.agent}.".encode()
        with self.publisher.changed:
            self._await_listener(command, listening, timeout)
            deadline = clock.time_ns() + int(timeout * 1e9)
            call = CommandCall(inbox=self.inbox, deadline=deadline, request=msgspec.Raw(request))
            call_id = self.publisher.send_control(command.topic, call)
            self._replies[call_id] = None
            try:
                reply = self._await_reply(command, call_id, listening, timeout)
            finally:
                del self._replies[call_id]
        if reply.error is not None:
            raise CommandRefused(reply.error.code, reply.error.message)
        return reply.result

    def close(self) -> None:
        """End the I/O thread, then the sockets. A second call does nothing, nor one in a forked child, where both are the parent's."""
        if self._closed or self.publisher.is_forked:
            return
        self._closed = True
        os.write(self._wake_write, b"x")
        self._thread.join(CLOSE_TIMEOUT)
        self.publisher.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _await_listener(self, command: Command[Request, Reply], listening: bytes, timeout: float) -> None:
        """Return when the agent listens. Raises NoSuchAgent at once where it does not, but for a hub that is away or came back just now."""
        began, heard = clock.monotonic(), self.publisher.listeners.heard[Delivery.DURABLE]
        while listening not in heard:
            self.publisher.drain()  # a send may have taken in the subscription, and nobody looked at it yet
            if listening in heard:
                return
            waited = clock.monotonic() - began
            if b"" in heard and not self.publisher.listeners.hub_is_new(GONE_AFTER):
                raise NoSuchAgent(f"no agent {command.agent!r} is running: bus top lists those that are")
            if b"" not in heard and waited >= min(timeout, HUB_PATIENCE):
                raise NoHub(f"{command.name}: the hub is away since {waited:.1f} s")
            self._wait(0.02)

    def _await_reply(self, command: Command[Request, Reply], call_id: str, listening: bytes, timeout: float) -> CommandReply:
        deadline = clock.monotonic() + timeout
        gone_since: float | None = None
        while (reply := self._replies[call_id]) is None:
            now = clock.monotonic()
            gone_since = None if self._is_alive(listening) else gone_since or now
            if gone_since is not None and now - gone_since >= GONE_AFTER:
                raise AgentGone(f"{command.agent} vanished while it ran {command.name}: the command may have run")
            if now >= deadline:
                raise BusTimeout(f"{command.name}: no reply within {timeout} s: the command may have run")
            self._wait(min(deadline - now, GONE_AFTER))
        return reply

    def _wait(self, seconds: float) -> None:
        """Wait for news. Raises BusError once this is closed: a thread that waits for a reply would keep the process from ending."""
        self.publisher.changed.wait(seconds)
        if self._closed:
            raise BusError(f"{self.publisher.source} is closed: no reply can arrive")

    def _is_alive(self, listening: bytes) -> bool:
        """Whether the agent listens, or nobody can tell because the hub is away."""
        heard = self.publisher.listeners.heard[Delivery.DURABLE]
        return listening in heard or b"" not in heard

    def _serve(self) -> None:
        poller = select.poll()
        for descriptor in (self._wake_read, *self._subscriber.filenos(), *self.publisher.filenos()):
            poller.register(descriptor, select.POLLIN)
        while self._wake_read not in {descriptor for descriptor, _ in poller.poll(self._pause() * 1000)}:
            self.publisher.drain()
            for event in self._subscriber.drain():
                self._receive(event)
        self._subscriber.close()

    def _pause(self) -> float:
        """Seconds until the next timer: a publish does not wake this thread for a re-send, so never longer than the first of them."""
        due = self.publisher.tick()
        if due is None or due >= FIRST_RESEND:
            return FIRST_RESEND
        if due >= _POLL_STEP:
            return due
        clock.sleep(due)  # `poll` counts in whole milliseconds, which a batch shall not wait
        return 0.0

    def _receive(self, event: Received) -> None:
        try:
            if event.topic.startswith("reply."):
                self._on_reply(event)
            else:
                self.publisher.on_ack(decode_data(event.topic, event.envelope.data, Ack))
        except CorruptFrame as error:
            self._on_rejected(event.topic, event.event_map, str(error))

    def _on_reply(self, event: Received) -> None:
        reply = decode_data(event.topic, event.envelope.data, CommandReply)
        with self.publisher.changed:
            if event.envelope.cause in self._replies:
                self._replies[event.envelope.cause] = reply
                self.publisher.changed.notify_all()
