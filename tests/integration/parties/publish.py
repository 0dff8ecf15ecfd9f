"""A publisher as a process: numbered events as fast as backpressure allows, and a file that says how far flush() acknowledged them.

    publish.py SOURCE NOTES [--size BYTES] [--rate HZ] [--timeout S]

Each line of NOTES/SOURCE-EPOCH is synced before the next one: `process PID` (from now on SIGTERM ends it well), `acknowledged N` (flush
returned after seq N), `full N` (BusFull for seq N, which is then published again), `published N` (the last one, after SIGTERM).
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
import time
from pathlib import Path

from msgspec import Struct

import bus
from bus.client import Client
from bus.errors import BusFull, BusTimeout
from bus.topic import Topic

CONNECT_TIMEOUT = 60.0
FLUSH_TIMEOUT = 30.0
LAST_FLUSH = 60.0


class Numbered(Struct, frozen=True, kw_only=True):
    """`n` is the event's seq: this process publishes nothing else that is durable."""

    n: int
    filler: bytes


TOPICS = (Topic("load.first", Numbered), Topic("load.second", Numbered))
"""Two, so that the order over a source's topics is seen as well."""


class Notes:
    """What this process can prove later, whatever kills it."""

    def __init__(self, folder: Path, client: Client) -> None:
        folder.mkdir(exist_ok=True)
        self._fd = os.open(folder / f"{client.source}-{client.publisher.epoch}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._lock = threading.Lock()

    def add(self, what: str, number: int) -> None:
        with self._lock:
            os.write(self._fd, f"{what} {number}\n".encode())
            os.fsync(self._fd)


class Load:
    """Publishes on one thread and flushes on another, so that publishing never waits for a flush."""

    def __init__(self, client: Client, notes: Notes, options: argparse.Namespace) -> None:
        self._client = client
        self._notes = notes
        self._filler = bytes(options.size)
        self._pause = 1.0 / options.rate if options.rate else 0.0
        self._timeout = options.timeout
        self._stopping = threading.Event()
        self.published = 0

    def stop(self) -> None:
        self._stopping.set()

    def publish(self) -> None:
        while not self._stopping.is_set():
            n = self.published + 1
            try:
                self._client.publish(TOPICS[n % 7 == 0], Numbered(n=n, filler=self._filler), timeout=self._timeout)
                self.published = n
            except BusFull:
                self._notes.add("full", n)
            if self._pause:
                self._stopping.wait(self._pause)

    def flush(self) -> None:
        noted = 0
        while not self._stopping.wait(0.005):
            target = self.published
            try:
                self._client.flush(FLUSH_TIMEOUT)
            except BusTimeout:
                continue
            if target > noted:
                self._notes.add("acknowledged", target)
                noted = target


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("notes", type=Path)
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--timeout", type=float, default=60.0)
    options = parser.parse_args()
    client = bus.connect(options.source, timeout=CONNECT_TIMEOUT)
    notes = Notes(options.notes, client)
    load = Load(client, notes, options)
    signal.signal(signal.SIGTERM, lambda *_: load.stop())
    notes.add("process", os.getpid())
    threads = [threading.Thread(target=work, daemon=True) for work in (load.publish, load.flush)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.02)  # the main thread takes the signals
    client.flush(LAST_FLUSH)
    notes.add("acknowledged", load.published)
    notes.add("published", load.published)
    client.close()


if __name__ == "__main__":
    main()
