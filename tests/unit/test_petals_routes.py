"""A text that changes its route in the middle is the text that it would have been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exported import lively_weights, write_exported
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.parts.generation.decoder import Decoder
from agents.parts.generation.sampling import Sampling
from agents.parts.generation.text import Request, TextModel
from agents.parts.generation.tokenizer import Tokenizer
from agents.parts.recipes import RECIPES
from agents.petals.errors import Unanswered
from agents.petals.routes import LocalRoute, Routes
from schemas import petals

MICRO = RECIPES["micro"]
CHANGES = list[tuple[int, str, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exported(tmp_path_factory.mktemp("model"), MICRO, lively_weights(MICRO))


@pytest.fixture(scope="module")
def model(folder: Path) -> TextModel:
    return TextModel.open(folder, threads=1)


class Leaves(LocalRoute):
    """A route over the real model that answers so many times, and then no more."""

    answers = 0

    def read(self, tokens: np.ndarray) -> tuple[np.ndarray, petals.Route]:
        if self.answers == 0:
            raise Unanswered("it has left")
        self.answers -= 1
        return super().read(tokens)[0], "swarm"


def leaves(decoder: Decoder, answers: int) -> Leaves:
    route = Leaves(lambda: decoder)
    route.answers = answers
    return route


def routes_of(decoder: Decoder, answers: int, changes: CHANGES) -> Routes:
    return Routes(
        context=decoder.context,
        end=decoder.end,
        routes=[("swarm", leaves(decoder, answers)), ("local", LocalRoute(lambda: decoder))],
        on_fallback=lambda at, route, to, reason, delay: changes.append((at, route, to, reason)),
    )


@settings(max_examples=25, deadline=None)
@given(answers=st.integers(0, 45), seed=st.integers(0, 5), temperature=st.sampled_from([0.0, 1.0]))
def test_the_text_is_the_same_wherever_the_route_changes(model: TextModel, answers: int, seed: int, temperature: float) -> None:
    request = Request(prompt="abc", length=40, sampling=Sampling(temperature=temperature, seed=seed))  # past the context of 32
    alone = model.write(request)
    expected = list(alone)
    changes: CHANGES = []
    routes = routes_of(model.decoder, answers, changes)
    pieces = list(TextModel(routes, model.tokenizer).write(request))

    assert pieces == expected
    by_swarm = min(answers, 40)
    assert [(stretch.route, stretch.tokens) for stretch in routes.served] == [
        (route, tokens) for route, tokens in (("swarm", by_swarm), ("local", 40 - by_swarm)) if tokens
    ]
    assert changes == ([] if answers >= 40 else [(answers, "swarm", "local", "it has left")])


def test_where_no_route_is_left_every_reason_is_said(model: TextModel) -> None:
    routes = routes_of(model.decoder, 3, [])
    routes.routes[1] = ("mixed", leaves(model.decoder, 0))
    writing = TextModel(routes, model.tokenizer).write(Request(prompt="abc", length=9, sampling=Sampling(temperature=0)))

    with pytest.raises(Unanswered, match="swarm: it has left; mixed: it has left"):
        list(writing)
    assert routes.tokens == 3


def test_a_text_that_nobody_waits_for_takes_no_other_route(model: TextModel) -> None:
    changes: CHANGES = []
    routes = routes_of(model.decoder, 3, changes)
    pieces = iter(TextModel(routes, model.tokenizer).write(Request(prompt="abc", length=9, sampling=Sampling(temperature=0))))
    next(pieces)
    routes.cancel()

    with pytest.raises(Unanswered, match="nobody waits"):
        list(pieces)
    assert changes == []


def test_without_any_route_the_first_token_says_so(folder: Path) -> None:
    routes = Routes(context=32, end=None, routes=[], on_fallback=lambda *change: None)

    with pytest.raises(Unanswered, match="no peers, and no whole model"):
        list(TextModel(routes, Tokenizer.open(folder)).write(Request(prompt="a", length=1, sampling=Sampling(temperature=0))))
