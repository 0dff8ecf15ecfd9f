"""The hub: libzmq's own XSUB/XPUB proxy, in C, once for each plane. No Python runs per message."""

from __future__ import annotations

import contextlib
import resource
import threading
import time as clock

import structlog
import zmq
from msgspec import Struct

from bus.address import Addresses, Plane, ipc_addresses, tcp_addresses
from bus.home import Home
from bus.lock import hold, is_held
from bus.parent import is_orphaned
from bus.stop import Stop
from bus.topic import Delivery
from bus.wire import MAX_ATTACHMENT, MAX_REPLY

SUBSCRIBER_EVENTS = 4000
"""Events that wait for a slow subscriber: at most 256 MiB of 64 KiB ones, then it misses some and nobody else does."""
SUBSCRIBER_POSES = 1000
"""The same for LATEST topics, whose messages may carry attachments: a reader that stalls wants the newest anyway."""
PUBLISHER_EVENTS = 4000
DESCRIPTORS = 10_240
"""Open files that the hub asks for, one a connection: macOS gives no process more."""
LINGER_AFTER_STOP = 4.5
"""Seconds that the hub stays for the others' last events after SIGTERM, unless the recorder has left before."""

_log = structlog.get_logger()


class HubSettings(Struct, frozen=True, kw_only=True):
    """`tcp`: a loopback address, `tcp://127.0.0.1:PORT`, to bind beside the sockets: that port and the next three."""

    tcp: str | None = None


class Hub:
    """Binds both planes, and serves them on a thread each until `close`."""

    def __init__(self, addresses: list[Addresses]) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._threads = [self._serve(delivery, [each.plane(delivery) for each in addresses]) for delivery in Delivery]

    def close(self) -> None:
        self._context.term()  # ends both proxies, whose threads close their sockets
        for thread in self._threads:
            thread.join()

    def _serve(self, delivery: Delivery, planes: list[Plane]) -> threading.Thread:
        inlet = self._bind(delivery, zmq.XSUB, [plane.inlet for plane in planes])
        outlet = self._bind(delivery, zmq.XPUB, [plane.outlet for plane in planes])
        inlet.send(b"\x01")  # everything, so that no publisher filters out its first event, and each knows that the hub is there
        thread = threading.Thread(target=_proxy, args=(inlet, outlet), name=f"hub-{delivery}")
        thread.start()
        return thread

    def _bind(self, delivery: Delivery, kind: int, addresses: list[str]) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_ATTACHMENT if delivery is Delivery.LATEST else MAX_REPLY)
        if kind == zmq.XSUB:
            socket.setsockopt(zmq.RCVHWM, PUBLISHER_EVENTS)
            socket.setsockopt(zmq.SNDHWM, 0)  # subscriptions beyond 1,000 are silently lost otherwise
        else:
            socket.setsockopt(zmq.SNDHWM, SUBSCRIBER_EVENTS if delivery is Delivery.DURABLE else SUBSCRIBER_POSES)
            socket.setsockopt(zmq.RCVHWM, 0)
        for address in addresses:
            socket.bind(address)
        return socket


def _proxy(inlet: zmq.Socket[bytes], outlet: zmq.Socket[bytes]) -> None:
    with contextlib.suppress(zmq.ContextTerminated):
        zmq.proxy(inlet, outlet)
    inlet.close()
    outlet.close()


def run_hub(home: Home, tcp: str | None = None) -> None:
    """Be the hub of `home` until SIGTERM. Raises LockHeld where it has one."""
    home.prepare()
    _allow_connections()
    with hold(home.lock("hub"), "the hub"):
        stop = Stop()
        stop.on_signals()
        hub = Hub([ipc_addresses(home), *([tcp_addresses(tcp)] if tcp else [])])
        _log.info("hub is up", folder=str(home.sockets()), tcp=tcp)
        while not (stop.wait(1.0) or is_orphaned()):
            pass
        _await_recorder(home)
        hub.close()


def _allow_connections() -> None:
    """Ask for as many descriptors as allowed: libzmq aborts the process when one is missing, and the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _await_recorder(home: Home) -> None:
    deadline = clock.monotonic() + LINGER_AFTER_STOP
    while is_held(home.lock("recorder")) and clock.monotonic() < deadline:
        clock.sleep(0.02)
