"""The two kinds of socket that join the hub, and their options (docs/guarantees.md says why)."""

from __future__ import annotations

import zmq

from bus.topic import Delivery
from bus.wire import MAX_ATTACHMENT, MAX_REPLY

RECONNECT_MILLISECONDS = 10
"""Back 7 to 21 ms after a hub restart; libzmq's own 100 take 73 to 185."""
PUBLISHER_MARK = 4000
"""Twice what a ring holds of single frames: libzmq hears what the other side has read only when that is half a mark. A publisher
whose ring has room must not find its socket full: what it cannot send then is missing to all, and sent again."""
LATEST_MARK = 4000
"""A LATEST reader drains to the newest, so its mark is never reached but while it stalls; libzmq would then drop the newest."""


def publishing(context: zmq.Context[zmq.Socket[bytes]], inlet: str, plane: Delivery) -> zmq.Socket[bytes]:
    """An XPUB, which is a PUB that hears who listens. It refuses to send where there is no hub or no room, and drops nothing."""
    socket = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MILLISECONDS)
    socket.setsockopt(zmq.SNDHWM, PUBLISHER_MARK if plane is Delivery.DURABLE else LATEST_MARK)
    socket.connect(inlet)
    return socket


def subscribing(context: zmq.Context[zmq.Socket[bytes]], outlet: str, plane: Delivery, mark: int) -> zmq.Socket[bytes]:
    """A SUB that takes no message that is too large for its plane. `mark` is how many durable and control frames wait in it."""
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.SNDHWM, 0)  # subscriptions beyond 1,000 are silently lost otherwise
    socket.setsockopt(zmq.RCVHWM, mark if plane is Delivery.DURABLE else LATEST_MARK)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MILLISECONDS)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_ATTACHMENT if plane is Delivery.LATEST else MAX_REPLY)
    socket.connect(outlet)
    return socket


def is_readable(socket: zmq.Socket[bytes]) -> bool:
    """Whether a message has arrived. Asking also takes in what libzmq's thread has to say, and with it the edge of the descriptor."""
    return bool(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)
