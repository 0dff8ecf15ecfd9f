"""The doors of the agent of poses in a thread of the test, which hears what pages say there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from conftest import wait_for

from agents.xr.door.doors import Doors
from agents.xr.door.metrics import Metric
from agents.xr.settings import XrSettings
from agents.xr.wire.messages import Frame, Hello, Message, Ping, Pong
from schemas.xr import Device, Pairing

T = TypeVar("T")

PATIENCE = 15.0
PICTURES_A_SECOND = 20


class Opened:
    """Doors that can be closed and opened again, at the same ports. `heard` is what all pages have said, `left` why each went.

    `picture` is the overlay's; None: it is off. `figures` are measured. While it is `deaf`, pings are not answered; while it is `stuck`, no
    more pictures come, and nobody says so.
    """

    def __init__(self, folder: Path) -> None:
        self.heard: list[Message] = []
        self.left: list[str] = []
        self.picture: bytes | None = None
        self.deaf = self.stuck = False
        self.viewers = 0
        self.figures: list[Metric] = []
        self._folder = folder
        self._settings = XrSettings(port=0, lan="127.0.0.1", lan_port=0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.open()

    def open(self) -> None:
        self._doors = Doors(self._settings, self._folder, self._welcome, self._pictures, lambda: self.figures)
        self._wait(self._doors.open())
        self._settings = XrSettings(port=_port(self.url), lan="127.0.0.1", lan_port=_port(self._doors.lan or ""))

    def close(self) -> None:
        self._wait(self._doors.close())

    def end(self) -> None:
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    @property
    def url(self) -> str:
        return self._doors.page or ""

    def pair(self) -> Pairing:
        return self._wait(self._doors.pair(forget=False))

    def all(self, kind: type[T]) -> list[T]:
        """What was heard of this kind."""
        return [message for message in list(self.heard) if isinstance(message, kind)]

    def next_frame(self, *devices: Device) -> Frame:
        """One that has just these devices, of those that come from now on."""
        begin = len(self.all(Frame))

        def newest() -> list[Frame]:
            return [frame for frame in self.all(Frame)[begin:] if {sample.device for sample in frame.samples} == set(devices)]

        found: list[Frame] = wait_for(newest, f"a frame of {devices}", PATIENCE)
        return found[-1]

    def wait(self, kind: type[T], count: int = 1) -> T:
        """The newest message of this kind, once there are so many."""
        wait_for(lambda: len(self.all(kind)) >= count, f"{count} of {kind.__name__}", PATIENCE)
        return self.all(kind)[-1]

    def _welcome(self, hello: Hello) -> _Ear:
        self.heard.append(hello)
        return _Ear(self)

    async def _pictures(self) -> AsyncIterator[tuple[int, bytes]]:
        self.viewers += 1
        for sequence in range(1, 100_000):
            if self.picture is None:
                return
            if not self.stuck:
                yield sequence, self.picture
            await asyncio.sleep(1 / PICTURES_A_SECOND)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:  # Any: as asyncio has it
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)


class _Ear:
    """Listens to one page, and answers its pings."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    def heard(self, message: Message, received: int) -> Pong | None:
        self._opened.heard.append(message)
        if isinstance(message, Ping) and not self._opened.deaf:
            return Pong(number=message.number, asked=message.asked, received=received, sent=received)
        return None

    def left(self, reason: str) -> None:
        self._opened.left.append(reason)


@contextmanager
def opened(folder: Path) -> Iterator[Opened]:
    doors = Opened(folder)
    try:
        yield doors
    finally:
        doors.end()


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
