"""A subscriber as a process: an agent that writes down each event of a publisher that it is handed.

    listen.py NAME NOTES

NOTES/NAME gets a line `SOURCE EPOCH N` for each of them, in the order of their arrival.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from publish import TOPICS, Numbered

from bus.agent import Agent, every, on
from bus.event import Event
from bus.home import find_home
from bus.runtime import serve


class Listener(Agent):
    """Hears all that publishers say."""

    folder: Path

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.file = (self.folder / self.name).open("a")

    @on(TOPICS[0])
    @on(TOPICS[1])
    def note(self, event: Event[Numbered]) -> None:
        self.file.write(f"{event.source} {event.epoch} {event.data.n}\n")

    @every(seconds=0.1)
    def flush(self) -> None:
        self.file.flush()

    def close(self) -> Any:
        self.file.close()


if __name__ == "__main__":
    Listener.name = sys.argv[1]
    Listener.folder = Path(sys.argv[2])
    serve(Listener, find_home())
