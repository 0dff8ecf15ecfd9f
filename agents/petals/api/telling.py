"""Answers in bytes: whole ones, and streams of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

import structlog
from msgspec import UNSET, UnsetType, json
from starlette.responses import Response

from agents.parts.generation.text import Written
from agents.parts.http.asgi import Receive, Scope, Send
from agents.parts.http.presence import ClientLeft, while_present
from agents.petals.api.errors import FORESEEN, as_api_error
from agents.petals.api.objects import Answer, Usage, usage_of
from agents.petals.api.texts import Ending, Part, Piece, Texts
from agents.petals.api.voices import Choice, Voice

DONE = b"data: [DONE]\n\n"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """One request's answer, by a voice. `include_usage`: a stream says at its end how many tokens it were."""

    voice: Voice
    id: str
    created: int
    model: str
    include_usage: bool
    ended: Callable[[Written], None]

    async def whole(self, texts: Texts) -> bytes:
        """All texts in one object. Raises what writing them raises."""
        endings = []
        async with aclosing(texts):
            async for part in texts:
                if isinstance(part, Ending):
                    self.ended(part.written)
                    endings.append(part)
        usage = usage_of([ending.written for ending in endings])
        return json.encode(self._answer(self.voice.kind, [self.voice.whole(ending) for ending in endings], usage))

    async def events(self, first: Part, texts: Texts) -> AsyncGenerator[bytes, None]:
        """The texts whose first part is `first`, as they are written. What goes wrong by then is an event too, and the last one."""
        if self.voice.opening:
            yield self._event(self.voice.opening)
        written = []
        try:
            async for part in _from(first, texts):
                yield self._event([self._choice(part)])
                if isinstance(part, Ending):
                    self.ended(part.written)
                    written.append(part.written)
        except Exception as error:  # whatever it is, the status has been sent
            if not isinstance(error, FORESEEN):
                _log.error("a stream ends early", exc_info=error)
            yield _event(as_api_error(error).body)
            return
        if self.include_usage:
            yield self._event([], usage_of(written))
        yield DONE

    def _choice(self, part: Part) -> Choice:
        return self.voice.piece(part) if isinstance(part, Piece) else self.voice.ending(part)

    def _event(self, choices: Sequence[Choice], usage: Usage | None = None) -> bytes:
        return _event(json.encode(self._answer(self.voice.chunk, choices, usage if self.include_usage else UNSET)))

    def _answer(self, kind: str, choices: Sequence[Choice], usage: Usage | UnsetType | None) -> Answer:
        return Answer(id=self.id, object=kind, created=self.created, model=self.model, choices=choices, usage=usage)


class EventStream(Response):
    """Sends events, and ends the texts that they tell of when the client leaves."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], texts: Texts) -> None:
        self._events, self._texts = events, texts
        self.status_code, self.background = 200, None
        self.init_headers({"cache-control": "no-store"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._texts):
            with suppress(ClientLeft):
                await while_present(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._events):
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Unheard(Response):
    """Says nothing: the client has left."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass


async def _from(first: Part, texts: Texts) -> Texts:
    yield first
    async for part in texts:
        yield part


def _event(data: bytes) -> bytes:
    return b"data: %b\n\n" % data
