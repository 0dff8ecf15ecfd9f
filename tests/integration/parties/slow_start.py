"""An agent whose `start` takes longer than anybody waits, and that says when it is cancelled."""

from __future__ import annotations

import asyncio
import sys

from bus import console
from bus.agent import Agent
from bus.home import find_home
from bus.runtime import serve


class Slow(Agent):
    """Never starts."""

    async def start(self) -> None:
        self.log.info("starting")
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            self.log.info("cancelled")
            raise


if __name__ == "__main__":
    close = console.configure()
    serve(Slow, find_home())
    close()
    sys.exit(0)
