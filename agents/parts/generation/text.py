"""Text behind a prompt, from an exported model on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agents.parts.generation.decoder import Decoder
from agents.parts.generation.errors import BadRequest
from agents.parts.generation.pieces import Pieces
from agents.parts.generation.sampling import Sampling
from agents.parts.generation.tokenizer import Tokenizer
from agents.parts.generation.tokens import Reads, generate

PROMPT_LIMIT = 1 << 20
"""Bytes of a prompt at most, or its tokens."""
TOKENS = 1 << 31
"""More than any vocabulary has."""
STOPS, STOP_LENGTH = 16, 256
"""Stop texts at most, and characters of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Continue `prompt`, a text or tokens, by at most `length` tokens, up to a stop text. Raises BadRequest for what is beyond a bound."""

    prompt: str | Sequence[int]
    length: int
    sampling: Sampling
    stops: Sequence[str] = ()

    def __post_init__(self) -> None:
        self._check_prompt()
        if self.length < 1:
            raise BadRequest(f"length is {self.length}: want 1 or more")
        if len(self.stops) > STOPS:
            raise BadRequest(f"{len(self.stops)} stop texts: want at most {STOPS}")
        for stop in self.stops:
            if not 1 <= len(stop) <= STOP_LENGTH:
                raise BadRequest(f"a stop text of {len(stop)} characters: want 1 to {STOP_LENGTH}")

    def _check_prompt(self) -> None:
        if isinstance(self.prompt, str):
            size, unit = len(self.prompt.encode(errors="replace")), "bytes"
        else:
            size, unit = len(self.prompt), "tokens"
            if size and not 0 <= min(self.prompt) <= max(self.prompt) < TOKENS:
                raise BadRequest(f"tokens from {min(self.prompt)} to {max(self.prompt)} in a prompt: want 0 to {TOKENS - 1}")
        if size > PROMPT_LIMIT:
            raise BadRequest(f"a prompt of {size} {unit}: at most {PROMPT_LIMIT} are read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A text and why it ended: its `length`, a `stop` text, or the `end` token of a document, which is not counted.

    `first_token_seconds` from the request, null where no token came; `tokens_per_second` after the first, null for fewer than two.
    """

    text: str
    finish: Literal["length", "stop", "end"]
    prompt_tokens: int
    tokens: int
    first_token_seconds: float | None
    tokens_per_second: float | None


@dataclass(frozen=True, slots=True)
class TextModel:
    """A model with its tokenizer. Threads may share it where they may share its decoder."""

    decoder: Reads[Any]  # Any: what its caches are is its own business
    tokenizer: Tokenizer

    @classmethod
    def open(cls, folder: Path, threads: int | None = None) -> TextModel:
        """That of an exported folder; `threads` as in Decoder.open. Raises BadModel."""
        return cls(Decoder.open(folder, threads), Tokenizer.open(folder))

    def write(self, request: Request) -> Writing:
        """Behind an empty prompt a document begins. Raises BadRequest where the model has no token that stands between documents."""
        pace = Pace()
        given = self.tokenizer.encode(request.prompt) if isinstance(request.prompt, str) else list(request.prompt)
        prompt = given or ([] if self.decoder.end is None else [self.decoder.end])
        if not prompt:
            raise BadRequest("an empty prompt: this model has no token behind which a document begins")
        drawn = (int(token) for (token,) in generate(self.decoder, np.array([prompt], np.int64), request.sampling))
        document = takewhile(lambda token: token != self.decoder.end, drawn)
        return Writing(self.tokenizer, request, len(prompt), document, pace)


class Writing:
    """A text while it is written: iterate over it for its pieces, one for each token and perhaps empty; then `written` is there.

    It is written as it is iterated over: who stops, stops the model. Iterating raises BadModel where that fails.
    """

    def __init__(self, tokenizer: Tokenizer, request: Request, prompt_tokens: int, document: Iterator[int], pace: Pace) -> None:
        self.prompt_tokens, self.pace = prompt_tokens, pace
        self._tokenizer, self._request, self._document = tokenizer, request, document
        self._written: Written | None = None

    @property
    def written(self) -> Written:
        """The whole. Raises LookupError before the last piece was taken."""
        if self._written is None:
            raise LookupError("the text has not ended: take all of its pieces first")
        return self._written

    def __iter__(self) -> Iterator[str]:
        pieces, shown = Pieces(self._request.stops), list[str]()
        for token in self.pace.timed(islice(self._document, self._request.length)):
            shown.append(pieces.add(self._tokenizer.bytes_of(token)))
            yield shown[-1]
            if pieces.stopped:
                break
        else:
            shown.append(pieces.add(b"", final=True))
            yield shown[-1]
        self._written = self._whole("".join(shown), pieces.stopped)

    def _whole(self, text: str, stopped: bool) -> Written:
        pace = self.pace
        return Written(
            text=text,
            finish="stop" if stopped else "length" if pace.tokens == self._request.length else "end",
            prompt_tokens=self.prompt_tokens,
            tokens=pace.tokens,
            first_token_seconds=pace.first,
            tokens_per_second=pace.per_second,
        )


@dataclass(slots=True)
class Pace:
    """Seconds that tokens took: from now to the first, and the later ones together, without what others did in between."""

    began: float = field(default_factory=time.perf_counter)
    first: float | None = None
    later: float = 0.0
    tokens: int = 0

    @property
    def per_second(self) -> float | None:
        """Tokens a second after the first, null for fewer than two."""
        return (self.tokens - 1) / self.later if self.tokens > 1 else None

    def timed(self, tokens: Iterator[int]) -> Iterator[int]:
        """The tokens, counted and timed."""
        while True:
            asked = time.perf_counter()
            token = next(tokens, None)
            if token is None:
                return
            now = time.perf_counter()
            if self.first is None:
                self.first = now - self.began
            else:
                self.later += now - asked
            self.tokens += 1
            yield token
