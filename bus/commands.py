"""The answering half of commands: what an agent refuses, and how a handler's result travels back."""

from __future__ import annotations

import difflib
import time as clock
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from bus.agent import Answer
from bus.errors import CommandRefused, CorruptFrame, FrameTooLarge
from bus.publisher import Publisher
from bus.subscriber import Received
from bus.wire import CommandCall, CommandError, CommandReply, decode_data, encodable, encode_data

REMEMBERED = 10_000
"""Ids of commands kept so that none runs twice; above this the expired ones are forgotten, then the oldest."""

Run = Callable[[Answer, Any, float], Awaitable[Any]]  # requests and replies of whichever struct
"""Runs one handler with its request within so many seconds."""


class Commands:
    """The commands of one agent, by name. `run` calls a handler and reports its exceptions before it lets them pass."""

    def __init__(self, answers: list[Answer], publisher: Publisher, run: Run) -> None:
        self._answers = {entry.command.name: entry for entry in answers}
        self._publisher = publisher
        self._run = run
        self._started = clock.monotonic_ns()
        self._seen: dict[str, int] = {}

    async def answer(self, event: Received) -> None:
        """Run one command and send its reply. Raises CorruptFrame for what is no command: there is nobody to answer."""
        call = decode_data(event.topic, event.envelope.data, CommandCall)
        reply, cause = await self._reply(event, call), event.envelope.id(event.topic)
        try:
            self._publisher.send_control(f"reply.{call.inbox}", reply, cause=cause)
        except FrameTooLarge as error:  # the result alone would have fitted
            self._publisher.send_control(f"reply.{call.inbox}", _error("too_large", str(error)), cause=cause)

    async def _reply(self, event: Received, call: CommandCall) -> CommandReply:
        try:
            entry = self._accept(event, call)
            request = decode_data(event.topic, call.request, entry.command.request)
            seconds = (call.deadline - clock.time_ns()) / 1e9
            return CommandReply(result=msgspec.Raw(encode_data(await self._run(entry, request, seconds))))
        except CommandRefused as refusal:
            return _error(refusal.code, refusal.message)
        except CorruptFrame as error:
            return _error("bad_request", str(error))
        except FrameTooLarge as error:
            return _error("too_large", str(error))
        except TimeoutError:
            return _error("timeout", f"{event.topic}: the deadline passed while it ran")
        except Exception as error:  # an agent.error event by now; the caller is told as well
            return _error("failed", f"{type(error).__name__}: {error}")

    def _accept(self, event: Received, call: CommandCall) -> Answer:
        """The table's entry. Raises CommandRefused for what is expired, older than this agent, repeated or unknown."""
        if call.deadline <= clock.time_ns():
            raise CommandRefused("expired", f"{event.topic}: the deadline has passed")
        if event.envelope.time < self._start_time():
            raise CommandRefused("stale", f"{event.topic}: sent before this agent started")
        if self._is_repeated(event, call.deadline):
            raise CommandRefused("repeated", f"{event.topic}: received before")
        name = event.topic.removeprefix("command.")
        if name not in self._answers:
            near = difflib.get_close_matches(name, self._answers, 1)
            known = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(self._answers))}"
            raise CommandRefused("unknown_command", f"no command {name}: {known}")
        return self._answers[name]

    def _start_time(self) -> int:
        """This agent's start, in ns since the Unix epoch, by the wall clock of now: that may have been set since."""
        return clock.time_ns() - (clock.monotonic_ns() - self._started)

    def _is_repeated(self, event: Received, deadline: int) -> bool:
        if not event.envelope.seq:  # a foreign caller's requests have no id to tell them apart by
            return False
        call_id = event.envelope.id(event.topic)
        repeated = call_id in self._seen
        self._seen[call_id] = deadline
        if len(self._seen) > REMEMBERED:
            now = clock.time_ns()
            live = [(each, until) for each, until in self._seen.items() if until > now]
            self._seen = dict(live[-REMEMBERED // 2 :])
        return repeated


def _error(code: str, message: str) -> CommandReply:
    return CommandReply(error=CommandError(code=code, message=encodable(message)[:2000]))
