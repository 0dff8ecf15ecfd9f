"""The texts of one request, written one after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from agents.parts.generation.text import Request, Written
from agents.petals.api.answers import Answers
from agents.petals.api.objects import Origin


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the text behind prompt number `index`: never empty, `first` where the text begins."""

    index: int
    text: str
    first: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """The text behind prompt number `index` is whole."""

    index: int
    written: Written
    origin: Origin


Part = Piece | Ending
Texts = AsyncGenerator[Part, None]


async def write_all(answers: Answers, requests: Sequence[Request]) -> Texts:
    """What comes of each request, in order. Closing it ends the text in progress. Raises as Answers.write and Text do."""
    for index, request in enumerate(requests):
        text, first = answers.write(request, "http"), True
        async with aclosing(text):
            async for piece in text:
                if piece:
                    yield Piece(index, piece, first)
                    first = False
        yield Ending(index, text.written, Origin(generation=text.generation, served=text.served, note=text.note))
