"""A text's session in the chain: whatever comes back, and whenever, who asked for it hears of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agents.petals.chain_client import ChainClient
from agents.petals.child import Gone
from agents.petals.errors import Unanswered
from agents.petals.messages import Message, Open, Unread


class Quick:
    """A chain that does at once what it does when it is told something."""

    def __init__(self, does: Callable[[Message], None]) -> None:
        self.say = does


def test_a_refusal_that_comes_before_anybody_waits_is_heard() -> None:
    def refuse(message: Message) -> None:
        if isinstance(message, Open):
            client.hear(Unread(session=message.session, error="Busy", message="32 texts are being written already"))

    client = ChainClient(Quick(refuse))
    session = client.open(8, mixed=False)

    with pytest.raises(Unanswered, match="Busy: 32 texts"):
        client.read(session, [1], seconds=0.01)


def test_who_waits_is_told_that_the_chain_has_ended_and_nobody_else_begins() -> None:
    client = ChainClient(Quick(lambda message: None))
    session = client.open(8, mixed=False)
    client.end("killed")

    with pytest.raises(Unanswered, match="killed"):
        client.read(session, [1], seconds=0.01)
    with pytest.raises(Unanswered, match="killed"):
        client.open(8, mixed=False)


def test_a_chain_that_has_gone_keeps_no_session() -> None:
    def gone(message: Message) -> None:
        raise Gone("it has ended")

    client = ChainClient(Quick(gone))

    with pytest.raises(Unanswered, match="it has ended"):
        client.open(8, mixed=False)
    assert client._answers == {}
