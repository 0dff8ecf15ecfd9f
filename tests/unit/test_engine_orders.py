"""What others ask of the engine's thread never keeps it from its frames."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any, cast

import pytest

from agents.engine.orders import Ended, Orders
from agents.engine.render.studio import Studio

STUDIO = cast(Studio, None)  # nothing here draws


class Asked:
    """Orders, and what was done of them."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.orders = Orders(self.stopping)
        self.done: list[str] = []

    def ask(self, name: str, *, long: bool = False) -> Future[None]:
        return self.orders.ask(lambda studio: self.done.append(name), long=long)

    def frame(self) -> list[str]:
        """What the next frame does of it."""
        self.done.clear()
        self.orders.obey(STUDIO)
        return list(self.done)


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_what_is_asked_while_a_frame_does_what_was_asked_is_for_the_next_one(asked: Asked) -> None:
    def ask_again(studio: Any) -> None:  # Any: not looked at
        asked.done.append("again")
        if len(asked.done) < 100:  # else a frame that goes on with it never ends
            asked.orders.ask(ask_again)

    asked.orders.ask(ask_again)

    assert (asked.frame(), asked.frame()) == (["again"], ["again"])


def test_a_frame_does_one_piece_of_long_work_and_leaves_the_order_as_it_is(asked: Asked) -> None:
    for name in ("step", "picture", "resume", "load"):
        asked.ask(name, long=name in ("picture", "load"))

    assert [asked.frame(), asked.frame(), asked.frame()] == [["step", "picture"], ["resume", "load"], []]


def test_an_engine_that_is_to_stop_begins_nothing_more_and_refuses_it(asked: Asked) -> None:
    asked.orders.ask(lambda studio: asked.stopping.set())
    late = asked.ask("late")

    assert asked.frame() == []
    asked.orders.end(Ended("the engine has stopped"))
    assert isinstance(late.exception(0), Ended)
