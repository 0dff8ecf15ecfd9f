"""A decoder that has several routes to the same logits: it reads by the first one that answers, and goes on with the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agents.parts.external_data import BadModel
from agents.parts.generation.decoder import Cache, Decoder, Tokens
from agents.petals.chain_client import ChainClient, numbers_of
from agents.petals.errors import Unanswered
from schemas import petals

PROMPT_TOKENS = 32
"""So many tokens of a prompt may take as long again as one token behind it."""


class Route(Protocol):
    """Reads the tokens of one text. It may be given up and begun anew, with all of its tokens."""

    def begin(self) -> None:
        """Forget what was read."""

    def read(self, tokens: Tokens) -> tuple[NDArray[np.float32], petals.Route]:
        """Logits [1, vocabulary] behind tokens [1, length] and those before, and who computed them. Raises Unanswered."""

    def interrupt(self) -> None:
        """End a read in progress, as far as that can be: from any thread."""

    def close(self) -> None:
        """Let go what the text holds."""


@dataclass(slots=True)
class SwarmRoute:
    """By peers; `mixed`: also by blocks of this machine. A token may take `patience` seconds, a prompt longer by its length.

    The text gets `length` tokens more at most, and peers keep room for no more than it and the model's `context` need.
    """

    chain: ChainClient
    context: int
    length: int
    patience: float
    mixed: bool = False
    _session: int | None = None

    def begin(self) -> None:
        self.close()

    def read(self, tokens: Tokens) -> tuple[NDArray[np.float32], petals.Route]:
        if self._session is None:
            self._session = self.chain.open(min(self.context, tokens.shape[1] + self.length), self.mixed)
        seconds = self.patience * (1 + tokens.shape[1] / PROMPT_TOKENS)
        answer = self.chain.read(self._session, tokens[0].tolist(), seconds)
        logits = numbers_of(answer)
        if not np.isfinite(logits).all():
            raise Unanswered("the logits of the swarm are no numbers")
        return logits, answer.route

    def interrupt(self) -> None:
        if (session := self._session) is not None:
            self.chain.interrupt(session)

    def close(self) -> None:
        if self._session is not None:
            self.chain.close(self._session)
            self._session = None


@dataclass(slots=True)
class LocalRoute:
    """By the whole model on this machine, which `opened` opens or has open."""

    opened: Callable[[], Decoder]
    _cache: Cache | None = None

    def begin(self) -> None:
        self._cache = None

    def read(self, tokens: Tokens) -> tuple[NDArray[np.float32], petals.Route]:
        decoder = self.opened()
        logits, self._cache = decoder.read(tokens, self._cache if self._cache is not None else decoder.empty())
        return logits, "local"

    def interrupt(self) -> None:
        """onnxruntime ends what it has begun."""

    def close(self) -> None:
        self._cache = None


@dataclass(frozen=True, slots=True)
class Place:
    """How far a text has been read: tokens [1, length]."""

    tokens: Tokens

    @property
    def length(self) -> int:
        return int(self.tokens.shape[1])


@dataclass(slots=True)
class Routes:
    """A decoder of one text, as agents/parts/generation reads by it. A route that fails is not taken again for this text.

    `served` is who computed its tokens, in order; `on_fallback` hears of each change: the first token's place, from whom, to whom, the
    reason, and how long that token took in all.
    """

    context: int
    end: int | None
    routes: list[tuple[petals.Route, Route]]
    on_fallback: Callable[[int, petals.Route, petals.Route, str, float], None]
    served: list[petals.Stretch] = field(default_factory=list)
    _cancelled: bool = False

    def cancel(self) -> None:
        """End a read in progress, and begin no other route. From any thread."""
        self._cancelled = True
        for _, route in list(self.routes):
            route.interrupt()

    def empty(self, batch: int = 1) -> Place:
        """Nothing read yet, of the one text."""
        if self.routes:
            self.routes[0][1].begin()
        return Place(np.zeros((batch, 0), np.int64))

    def read(self, tokens: Tokens, place: Place) -> tuple[NDArray[np.float32], Place]:
        """Logits [1, vocabulary] behind tokens [1, length] and those of `place`. Raises Unanswered where no route is left."""
        if not self.routes:
            raise Unanswered("there is no route to the model: no peers, and no whole model on this machine")
        began, text, failed = time.monotonic(), np.concatenate([place.tokens, tokens], 1), list[tuple[petals.Route, str]]()
        while True:
            try:
                logits, by = self.routes[0][1].read(text if failed else tokens)
                break
            except (Unanswered, BadModel) as error:
                if self._cancelled:
                    raise Unanswered("nobody waits for the text any more") from error
                failed.append((self.routes[0][0], str(error)))
                self._next(failed)
        if failed:
            reason = "; ".join(message for _, message in failed)
            self.on_fallback(self.tokens, failed[0][0], by, reason, time.monotonic() - began)
        self._tally(by)
        return logits, Place(text)

    @property
    def tokens(self) -> int:
        """How many it has answered."""
        return sum(stretch.tokens for stretch in self.served)

    def close(self) -> None:
        """The text has ended."""
        for _, route in self.routes:
            route.close()

    def _next(self, failed: Sequence[tuple[petals.Route, str]]) -> None:
        """Give up the present route, and begin the text anew by the next one. Raises Unanswered."""
        self.routes.pop(0)[1].close()
        if not self.routes:
            raise Unanswered("; ".join(f"{name}: {message}" for name, message in failed))
        self.routes[0][1].begin()

    def _tally(self, by: petals.Route) -> None:
        if self.served and self.served[-1].route == by:
            self.served[-1] = petals.Stretch(route=by, tokens=self.served[-1].tokens + 1)
        else:
            self.served.append(petals.Stretch(route=by, tokens=1))
