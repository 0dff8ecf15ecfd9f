"""What an agent refuses to run, and how results, refusals and errors travel back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from recorded import received

from bus.agent import Answer
from bus.commands import Commands
from bus.errors import CommandRefused, CorruptFrame
from bus.subscriber import Received
from bus.wire import MAX_REPLY, CommandCall, CommandReply, Envelope, encode_data, encode_envelope
from schemas import power

SECOND = 1_000_000_000


class Desk:
    """The commands of one agent, and the replies that it sent."""

    def __init__(self, outcome: Any = None) -> None:
        self.replies: list[tuple[str, CommandReply, str | None]] = []
        self.ran: list[Any] = []
        self._outcome = outcome
        self.commands = Commands([Answer(power.SET_RATE, "set_rate")], self, self._run)  # type: ignore[arg-type]  # only sends control

    def send_control(self, topic: str, data: CommandReply, cause: str | None = None) -> str:
        encode_envelope(topic, Envelope(source="power", time=1, cause=cause, data=Raw(encode_data(data))))
        self.replies.append((topic, data, cause))
        return ""

    async def _run(self, entry: Answer, request: Any, seconds: float) -> Any:
        self.ran.append(request)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def take(self, event: Received) -> CommandReply:
        asyncio.run(self.commands.answer(event))
        return self.replies[-1][1]


def call(request: Any, *, topic: str = "command.power.set_rate", seq: int = 1, age: float = 0, left: float = 5) -> Received:
    now = time.time_ns()
    data = CommandCall(inbox="me", deadline=now + int(left * SECOND), request=Raw(encode_data(request)))
    return received(topic, data, seq, source="cli", time=now - int(age * SECOND))


def code(reply: CommandReply) -> str | None:
    return reply.error and reply.error.code


def test_a_result_travels_to_the_caller_s_inbox_with_the_cause() -> None:
    desk = Desk(power.Rate(hz=5))
    event = call(power.SetRate(hz=5))

    reply = desk.take(event)
    assert msgspec.msgpack.decode(reply.result, type=power.Rate) == power.Rate(hz=5)
    assert desk.ran == [power.SetRate(hz=5)]
    assert desk.replies[0][0] == "reply.me"
    assert desk.replies[0][2] == event.envelope.id(event.topic)


def test_what_is_late_old_or_repeated_never_runs() -> None:
    desk = Desk(power.Rate(hz=5))
    first = call(power.SetRate(hz=5), seq=7)

    assert code(desk.take(call({}, left=-1))) == "expired"
    assert code(desk.take(call({}, seq=2, age=60))) == "stale"
    assert code(desk.take(first)) is None
    assert code(desk.take(first)) == "repeated"
    assert len(desk.ran) == 1


def test_a_stranger_s_calls_without_seq_are_not_taken_for_repeated() -> None:
    desk = Desk(power.Rate(hz=5))

    for _ in range(2):
        assert code(desk.take(call(power.SetRate(hz=5), seq=0))) is None


@pytest.mark.parametrize(
    ("topic", "request_", "expected"),
    [
        ("command.power.set_rate", {"hz": "fast"}, "bad_request"),
        ("command.power.set_rate", {}, "bad_request"),
        ("command.power.set_rates", {}, "unknown_command"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_code(topic: str, request_: Any, expected: str) -> None:
    desk = Desk()

    assert code(desk.take(call(request_, topic=topic))) == expected
    assert desk.ran == []


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (CommandRefused("busy", "no"), "busy"),
        (RuntimeError("a file called \udcff"), "failed"),
        (TimeoutError(), "timeout"),
        ("x" * (MAX_REPLY + 1), "too_large"),
        ("x" * (MAX_REPLY - 20), "too_large"),
    ],
)
def test_what_goes_wrong_is_answered_all_the_same(outcome: Any, expected: str) -> None:
    assert code(Desk(outcome).take(call(power.SetRate(hz=5)))) == expected


def test_what_is_no_command_cannot_be_answered() -> None:
    with pytest.raises(CorruptFrame):
        Desk().take(received("command.power.set_rate", {"inbox": "../x", "deadline": 1, "request": {}}))
