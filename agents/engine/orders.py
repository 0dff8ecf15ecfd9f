"""What other threads ask of the engine's: each is answered by a future, also when the engine has ended."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from agents.engine.render.studio import Studio

T = TypeVar("T")


class Ended(RuntimeError):
    """The engine has ended: it does nothing more."""


@dataclass(frozen=True, slots=True)
class _Order(Generic[T]):
    work: Callable[[Studio, Future[T]], None]
    future: Future[T]
    long: bool

    def begin(self, studio: Studio) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.work(studio, self.future)
        except Exception as error:  # whatever it is, it is the answer
            self.future.set_exception(error)

    def refuse(self, reason: Ended) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(reason)


class Orders:
    """Carries work to the one thread that calls `obey`, which does no more of it once `stopping` is set."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._waiting: queue.SimpleQueue[_Order[Any]] = queue.SimpleQueue()  # Any: answers of every kind
        self._door = threading.Lock()
        self._ended: Ended | None = None

    def ask(self, work: Callable[[Studio], T], *, long: bool = False) -> Future[T]:
        """What `work` returns or raises on the engine's thread, in the next frame. Of `long` work a frame does one piece."""
        return self.ask_later(lambda studio, future: future.set_result(work(studio)), long=long)

    def ask_later(self, begin: Callable[[Studio, Future[T]], None], *, long: bool = False) -> Future[T]:
        """As `ask`, for what takes more than a frame: `begin` sees that the future is answered in the end."""
        future: Future[T] = Future()
        with self._door:
            if self._ended is None:
                self._waiting.put(_Order(begin, future, long))
            else:
                future.set_exception(self._ended)
        return future

    def obey(self, studio: Studio) -> None:
        """Begin what waits, up to the first long work. What comes meanwhile is for the next frame, or a flood would leave none."""
        for _ in range(self._waiting.qsize()):
            order = self._waiting.get()
            order.begin(studio)
            if order.long or self._stopping.is_set():
                return

    def end(self, reason: Ended) -> None:
        """Refuse what waits, and all that comes."""
        with self._door:
            self._ended = reason
        while not self._waiting.empty():
            self._waiting.get().refuse(reason)
