"""Writes texts: each by the route that answers, with an event of what it was, and one for each change of route."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from agents.parts.external_data import BadModel
from agents.parts.generation.errors import BadRequest
from agents.parts.generation.sampling import Sampling
from agents.parts.generation.text import Request, TextModel, Writing, Written
from agents.petals.chain_client import ChainClient
from agents.petals.errors import Busy, Closing, NoModel, Unanswered
from agents.petals.model import Model
from agents.petals.routes import LocalRoute, Route, Routes, SwarmRoute
from bus.agent import Publish
from schemas import petals

AT_ONCE = 8
"""Texts at once; who asks for more is told to come again."""
LONGEST = 100_000
"""Tokens of one text at most."""

Finish = Literal["length", "stop", "end", "cancelled", "failed"]


@dataclass(slots=True)
class Totals:
    """What was written since the agent started."""

    generations: int = 0
    fallbacks: int = 0
    tokens: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Means:
    """What a text is written with: the model, its chain in the swarm, and why no text begins there; None: it does."""

    model: Model | None = None
    chain: ChainClient | None = None
    why_alone: str | None = None

    def needed_model(self) -> Model:
        """Raises NoModel."""
        if self.model is None:
            raise NoModel("there is no model yet: wait for an export.completed, or name a folder by the setting `model`")
        return self.model


@dataclass(slots=True)
class Writer:
    """Safe from any thread. `means` is set as they come and go; a text goes on with those that it began with."""

    publish: Publish
    patience: float
    count: Callable[[str, int, int, int], None]  # a model, layers from and to, and the tokens that went through them
    means: Means = field(default_factory=Means)
    closed: bool = False
    totals: Totals = field(default_factory=Totals)
    _writing: set[Text] = field(default_factory=set)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def writing(self) -> int:
        """Texts in progress."""
        return len(self._writing)

    def begin(self, request: Request, client: Literal["bus", "http"]) -> Text:
        """A text, which is written as it is iterated over. Raises NoModel, Busy, Closing."""
        means = self.means
        text = Text(self, means, means.needed_model(), request, client, f"{time.time_ns():x}-{next(self._numbers)}")
        with self._lock:
            if self.closed:
                raise Closing("the agent ends: it writes no more")
            if len(self._writing) >= AT_ONCE:
                raise Busy(f"{AT_ONCE} texts are being written: ask again in a moment")
            self._writing.add(text)
        return text

    def close(self) -> None:
        """End what is being written, and write nothing more."""
        with self._lock:
            self.closed, writing = True, list(self._writing)
        for text in writing:
            text.cancel()

    def routes_of(self, model: Model, means: Means, length: int) -> list[tuple[petals.Route, Route]]:
        """The swarm where it is complete, then the whole model of this machine, then peers with layers of this machine between them."""
        routes: list[tuple[petals.Route, Route]] = []
        chain = means.chain
        if chain is not None and means.why_alone is None:
            routes.append(("swarm", SwarmRoute(chain, model.context, length, self.patience)))
        if model.is_whole:
            routes.append(("local", LocalRoute(model.decoder)))
        if chain is not None:
            routes.append(("mixed", SwarmRoute(chain, model.context, length, 10 * self.patience, mixed=True)))
        return routes

    def ended(self, text: Text, generation: petals.Generation) -> None:
        """A text says once how it ended."""
        with self._lock:
            self._writing.discard(text)
            self.totals.generations += 1
            for stretch in generation.served:
                self.totals.tokens[stretch.route] += stretch.tokens
        if generation.tokens:
            self.count(text.kept_as, 0, text.layers, min(generation.prompt_tokens, text.context) + generation.tokens)
        self.publish(petals.GENERATION, generation)

    def fell_back(self, fallback: petals.Fallback) -> None:
        with self._lock:
            self.totals.fallbacks += 1
        self.publish(petals.FALLBACK, fallback)


class Text:
    """A text while it is written: its pieces, then `written`. Closing the iterator, or `cancel`, ends it."""

    def __init__(
        self,
        writer: Writer,
        means: Means,
        model: Model,
        request: Request,
        client: Literal["bus", "http"],
        generation: str,
    ) -> None:
        self.generation, self.prefix = generation, model.prefix
        self.kept_as, self.layers, self.context = model.kept_as, model.layers, model.context
        self.note = means.why_alone
        self._writer, self._client, self._began, self._cancelled = writer, client, time.monotonic(), False
        self._begun, self._starting = False, threading.Lock()
        self._ended = threading.Lock()  # taken once, by who says how it ended
        self._routes = Routes(
            context=model.context,
            end=model.end,
            routes=writer.routes_of(model, means, request.length),
            on_fallback=self._fell_back,
        )
        self._model, self._request = TextModel(self._routes, model.tokenizer), request
        self._writing: Writing | None = None

    @property
    def served(self) -> list[petals.Stretch]:
        """Who computed its tokens, in order."""
        return list(self._routes.served)

    @property
    def written(self) -> Written:
        """The whole. Raises LookupError before the last piece was taken."""
        if self._writing is None:
            raise LookupError("the text has not begun")
        return self._writing.written

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        """Write no further piece. Who iterates over it sees it end; of a text that nobody does, this is the end."""
        with self._starting:
            self._cancelled, begun = True, self._begun
        if begun:
            self._routes.cancel()
        else:
            self._end("cancelled", None)

    def __iter__(self) -> Iterator[str]:
        """The pieces. Raises BadRequest for what cannot be written, Unanswered where no route leads to the model, BadModel, Closing."""
        with self._starting:
            if self._cancelled:
                return
            self._begun = True
        finish: Finish = "cancelled"
        reason = None
        try:
            self._writing = self._model.write(self._request)
            for piece in self._writing:
                if self._cancelled:
                    self._stop()
                    return
                yield piece
            finish = self.written.finish
        except (BadRequest, BadModel, Unanswered) as error:
            if self._cancelled:
                self._stop()
                return
            finish, reason = "failed", str(error)
            raise
        finally:
            self._end(finish, reason)

    def _stop(self) -> None:
        """Somebody ended the text. Raises Closing where that was the agent."""
        if self._writer.closed:
            raise Closing("the agent ends: this text goes no further")

    def _end(self, finish: Finish, reason: str | None) -> None:
        """Say once how the text ended."""
        if self._ended.acquire(blocking=False):
            self._routes.close()
            self._writer.ended(self, self._told(finish, reason))

    def _told(self, finish: Finish, reason: str | None) -> petals.Generation:
        writing = self._writing
        return petals.Generation(
            generation=self.generation,
            prefix=self.prefix,
            client=self._client,
            prompt_tokens=0 if writing is None else writing.prompt_tokens,
            tokens=self._routes.tokens,
            served=self.served,
            finish=finish,
            seconds=time.monotonic() - self._began,
            first_token_seconds=None if writing is None else writing.pace.first,
            tokens_per_second=None if writing is None else writing.pace.per_second,
            reason=reason,
        )

    def _fell_back(self, at: int, route: petals.Route, to: petals.Route, reason: str, delay: float) -> None:
        self.note = f"token {at} and those behind it are of the route `{to}`: {reason}"
        fallback = petals.Fallback(generation=self.generation, at=at, route=route, to=to, reason=reason, delay=delay)
        self._writer.fell_back(fallback)


def request_of(asked: petals.Generate) -> Request:
    """Raises BadRequest."""
    if asked.length > LONGEST:
        raise BadRequest(f"length is {asked.length}: want 1 to {LONGEST}")
    sampling = Sampling(temperature=asked.temperature, top_p=asked.top_p, seed=asked.seed)
    return Request(prompt=asked.prompt, length=asked.length, sampling=sampling, stops=asked.stop)


def generated(text: Text) -> petals.Generated:
    """The whole text. Raises as iterating over it does, and LookupError where it was cancelled."""
    for _ in text:
        continue
    written = text.written
    return petals.Generated(
        generation=text.generation,
        text=written.text,
        finish=written.finish,
        prompt_tokens=written.prompt_tokens,
        tokens=written.tokens,
        served=text.served,
        prefix=text.prefix,
        first_token_seconds=written.first_token_seconds,
        tokens_per_second=written.tokens_per_second,
        note=text.note,
    )
