"""The agent as the HTTP API sees it: texts that are written in threads, and awaited piece by piece."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from agents.parts.generation.text import Request, Written
from agents.petals import writer
from agents.petals.api.answers import ModelCard
from schemas import petals

AHEAD = 64
LOOK_SECONDS = 0.2
"""Between two looks of a thread that waits for its reader whether there still is one."""


@dataclass(frozen=True, slots=True)
class Answering:
    """See agents/petals/api/answers.py."""

    writer: writer.Writer
    threads: ThreadPoolExecutor
    status: Callable[[], petals.Status]
    peers: Callable[[], petals.Peers]

    def model(self) -> ModelCard:
        """Raises NoModel."""
        model = self.writer.means.needed_model()
        return ModelCard(id=model.prefix, created=model.created, context=model.context)

    def write(self, request: Request, client: Literal["http"]) -> Spoken:
        """Raises Busy, Closing, NoModel."""
        return Spoken(self.writer.begin(request, client), self.threads)


class Spoken:
    """A text whose pieces are awaited. A thread writes it, and is AHEAD pieces ahead at most of who reads them."""

    def __init__(self, text: writer.Text, threads: ThreadPoolExecutor) -> None:
        self._text, self._threads = text, threads

    @property
    def generation(self) -> str:
        return self._text.generation

    @property
    def served(self) -> Sequence[petals.Stretch]:
        return self._text.served

    @property
    def note(self) -> str | None:
        return self._text.note

    @property
    def written(self) -> Written:
        return self._text.written

    async def __aiter__(self) -> AsyncIterator[str]:
        """Raises as iterating over the text does."""
        loop, pieces, room = asyncio.get_running_loop(), asyncio.Queue[str | None](), threading.Semaphore(AHEAD)

        def write() -> None:
            try:
                for piece in self._text:
                    while not room.acquire(timeout=LOOK_SECONDS) and not self._text.is_cancelled:
                        continue
                    loop.call_soon_threadsafe(pieces.put_nowait, piece)
            finally:
                loop.call_soon_threadsafe(pieces.put_nowait, None)

        writing = loop.run_in_executor(self._threads, write)
        try:
            while (piece := await pieces.get()) is not None:
                yield piece
                room.release()
            await writing
        finally:
            self._text.cancel()
            writing.cancel()  # where it has not begun

    async def aclose(self) -> None:
        """End it; its thread notices with its next piece."""
        self._text.cancel()
