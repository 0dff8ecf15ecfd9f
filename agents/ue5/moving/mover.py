"""Sends the outbox to one engine: a batch at once, the next when it was answered or at the next tick."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from agents.ue5.level.roster import Roster
from agents.ue5.measures.latency import Window
from agents.ue5.moving.outbox import Batch, Outbox, Pace
from agents.ue5.remote import answers, requests
from agents.ue5.remote.wire import Answer, Late, RemoteError, Wire, accepted
from schemas.ue5 import Applied


class Mover:
    """One connection's share of the outbox. `on_applied` hears of cameras that the engine has put where they are wanted, `on_refusal` of a
    batch of which the engine did not do all, with its answers.
    """

    def __init__(
        self,
        wire: Wire,
        outbox: Outbox,
        roster: Roster,
        window: Window,
        hz: float,
        on_applied: Callable[[Applied], None],
        on_refusal: Callable[[Batch, list[Answer]], None],
    ) -> None:
        self._wire = wire
        self._outbox = outbox
        self._roster = roster
        self._window = window
        self._on_applied = on_applied
        self._on_refusal = on_refusal
        self._pace = Pace(hz)
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def nudge(self) -> None:
        """There may be something to send. It goes in the loop's next pass, with all that arrives in this one."""
        now = self._loop.time()
        wait = self._pace.wait(now)
        if wait is None or (self._next is not None and self._next.when() <= now + wait):
            return
        if self._next is not None:
            self._next.cancel()  # an answer has come before the tick
        self._next = self._loop.call_later(wait, self._go)

    def welcome(self) -> None:
        """The level was read again, or has one more actor: whom it has now is put where it was wanted."""
        self._outbox.welcome(self._roster.labels)
        self.nudge()

    async def close(self) -> None:
        """Send nothing more."""
        if self._next is not None:
            self._next.cancel()
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _go(self) -> None:
        self._next = None
        batch = self._outbox.take(self._roster.labels)
        if batch.asks:
            self._pace.sent(self._loop.time())
            task = self._loop.create_task(self._deliver(batch))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        if self._outbox.pending:
            self.nudge()

    async def _deliver(self, batch: Batch) -> None:
        began = time.perf_counter()
        try:
            answer = await self._wire.request(requests.VERB, requests.BATCH, requests.encoded_batch(batch.asks))
            self._note(batch, accepted(answer), time.perf_counter() - began)
        except Late:
            self._window.missed()
            self._outbox.take_back(batch.wishes)
        except RemoteError:  # at once it would go the same way; an engine that is lost is sent all when it comes back
            self._window.missed()
            self._outbox.refused(batch.wishes)
        finally:
            self._pace.answered()
        if self._outbox.pending:
            self.nudge()

    def _note(self, batch: Batch, answer: bytes, seconds: float) -> None:
        failed = answers.failures(answer, len(batch.asks))
        self._window.answered(seconds, batch.moves, failed)
        now = time.time_ns()
        self._window.events([max(now - each, 0) / 1e9 for each in batch.times])
        refused = self._refuse(batch, answer) if failed else set()
        if cameras := {label: at for label, at in batch.cameras.items() if label not in refused}:
            self._on_applied(Applied(applied=now, cameras=cameras))

    def _refuse(self, batch: Batch, answer: bytes) -> set[str]:
        """See to the labels of which not all was done, and return them."""
        said = answers.parts(answer, len(batch.asks))
        refused = batch.refused(said)
        self._outbox.refused(refused)
        self._on_refusal(batch, said)
        return refused
