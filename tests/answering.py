"""Answers of the HTTP API from a whole model in this process: what the API is tested with, and no stand-in for a swarm."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Literal

from exported import lively_weights, write_exported

from agents.parts.generation.text import Request, TextModel, Written
from agents.parts.recipes import RECIPES
from agents.petals.api.answers import ModelCard
from agents.petals.errors import Busy, NoModel
from schemas import petals

MODEL = "micro-test"
PEER = "12D3KooWGRUVh7ySWDQ5E5bGMzxMGNYGPcZTSPmSK7TfGXjJ7Wcm"


def write_model(folder: Path) -> TextModel:
    """A small one, whose texts differ from prompt to prompt; their tokens are bytes."""
    recipe = RECIPES["micro"]
    return TextModel.open(write_exported(folder, recipe, lively_weights(recipe)), threads=1)


class LocalText:
    """One text of LocalAnswers. It stands in `among` until it is closed."""

    note = "no swarm in this test"

    def __init__(self, model: TextModel, request: Request, generation: str, among: list[LocalText]) -> None:
        self.generation, self.tokens, self._among = generation, 0, among
        self._writing = model.write(request)
        self._pieces = iter(self._writing)
        among.append(self)

    @property
    def served(self) -> Sequence[petals.Stretch]:
        return [petals.Stretch(route="local", tokens=self.written.tokens)]

    @property
    def written(self) -> Written:
        return self._writing.written

    def __aiter__(self) -> LocalText:
        return self

    async def __anext__(self) -> str:
        piece = await asyncio.to_thread(next, self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        if self in self._among:
            self._among.remove(self)


class LocalAnswers:
    """`model` None: there is none yet. At most `at_once` texts of a `kind` are written at once."""

    kind = LocalText

    def __init__(self, model: TextModel | None, at_once: int = 4) -> None:
        self.text_model, self.at_once = model, at_once
        self.writing: list[LocalText] = []
        self._numbers = count(1)

    def model(self) -> ModelCard:
        if self.text_model is None:
            raise NoModel("wait for an export.completed")
        return ModelCard(id=MODEL, created=1_700_000_000, context=self.text_model.decoder.context)

    def write(self, request: Request, client: Literal["http"]) -> LocalText:
        self.model()
        if len(self.writing) >= self.at_once:
            raise Busy(f"{self.at_once} texts are being written: ask again")
        assert self.text_model is not None
        return self.kind(self.text_model, request, f"text-{next(self._numbers)}", self.writing)

    def status(self) -> petals.Status:
        return petals.Status(
            serving=petals.Serving(prefix=MODEL), swarm="none", generations=3, writing=len(self.writing), tokens={"local": 40}, fallbacks=2
        )

    def peers(self) -> petals.Peers:
        peer = petals.PeerHealth(peer=PEER, start=0, end=2, own=False, allowed=True, state="online", score=0.5)
        return petals.Peers(peers=[peer], policy=petals.Policy(open=False, allowed=[PEER], blocked=[]))
