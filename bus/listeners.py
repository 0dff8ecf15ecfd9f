"""Who listens: the subscriptions that a publisher's own sockets have heard through the hub, and whether the hub is there."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable, Set

from bus.address import Addresses
from bus.errors import BusTimeout, NoHub
from bus.topic import Delivery


class Listeners:
    """`heard` holds the subscription prefixes on each plane; the empty one says that the hub is there.

    `changed` is the condition of the publisher, whose lock guards all of this.
    """

    def __init__(self, changed: threading.Condition, addresses: Addresses) -> None:
        self.heard: dict[Delivery, set[bytes]] = {plane: set() for plane in Delivery}
        self._changed = changed
        self._addresses = addresses
        self._hub_met = False
        self._hub_returned: float | None = None

    def hear(self, plane: Delivery, message: bytes) -> bool:
        """Take in a subscription, or the end of one. Whether it says that the hub of the events plane is there now."""
        arrived = message == b"\x01" and plane is Delivery.DURABLE
        if message[:1] == b"\x01":
            self.heard[plane].add(message[1:])
        elif message[:1] == b"\x00":
            self.heard[plane].discard(message[1:])
        if arrived:
            self._hub_returned = clock.monotonic() if self._hub_met else None
            self._hub_met = True
        self._changed.notify_all()
        return arrived

    def wait(self, plane: Delivery, prefix: bytes, timeout: float) -> None:
        """Return once this subscription has passed the hub. Raises NoHub, or BusTimeout where the hub is there without it."""
        with self._changed:
            heard = self.heard[plane]
            if self._changed.wait_for(lambda: b"" in heard and prefix in heard, timeout):
                return
            if b"" not in heard:
                raise NoHub(f"no hub answers at {self._addresses.plane(plane).inlet}: start the appliance with ./dev up")
            raise BusTimeout(f"the subscription {prefix!r} has not passed the hub in time")

    def wait_until(self, plane: Delivery, wanted: Callable[[Set[bytes]], bool], timeout: float) -> bool:
        """Wait until the subscription prefixes that somebody holds on this plane are as `wanted`; whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: wanted(self.heard[plane]), timeout)

    def has(self, plane: Delivery, prefix: bytes) -> bool:
        """Whether somebody holds this subscription."""
        with self._changed:
            return prefix in self.heard[plane]

    def agents(self) -> list[str]:
        """The agents that listen for commands, whatever else they do."""
        with self._changed:
            prefixes = [prefix.decode(errors="replace") for prefix in self.heard[Delivery.DURABLE] if prefix.startswith(b"command.")]
        return sorted(name for prefix in prefixes if (name := prefix.removeprefix("command.").rstrip(".")))

    def hub_is_new(self, seconds: float) -> bool:
        """Whether the hub came back less than so long ago: others may not have found it yet. The first time does not count."""
        with self._changed:
            return self._hub_returned is not None and clock.monotonic() - self._hub_returned < seconds
