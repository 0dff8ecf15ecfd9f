"""Lets a peer fail in the middle of a text, again and again, and sees what that costs and whether the text is still the same."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from dataclasses import field as attribute
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from agents.parts.generation.sampling import Sampling
from agents.parts.generation.tokens import Reads, generate
from agents.petals.chain_client import ChainClient
from agents.petals.errors import Unanswered
from agents.petals.model import Model, open_model
from agents.petals.routes import LocalRoute, Routes, SwarmRoute
from agents.petals.settings import PetalsSettings
from benchmarks._generation import SEED
from benchmarks._petals import Field
from benchmarks._processes import ChildFailed
from benchmarks._swarm import Peer, joined
from benchmarks.generators.job import Job
from schemas import petals

WAYS = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}
"""A peer that is killed refuses connections; one that is stopped says nothing at all."""
HEAL_SECONDS, POLL = 60.0, 0.2


class Outage(Struct, frozen=True, kw_only=True):
    """A peer failed in that way. `delay`: seconds from asking for token `at` until this machine had it; `reason`: why the swarm had not.

    `same`: whether the whole text is the one that this machine writes alone. `healed`: seconds from the peer's return until it is used.
    """

    way: str
    at: int
    delay: float
    reason: str
    same: bool
    healed: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A text that is written through two peers, of whom the second one fails."""

    job: Job
    model: Model
    chain: ChainClient
    peer: Peer
    expected: list[int]
    chance: random.Random = attribute(default_factory=lambda: random.Random(SEED))

    def fail(self, way: str) -> Outage:
        """Raises ChildFailed, also where the text went on through the swarm, or the swarm does not come back."""
        changes: list[tuple[int, str, float]] = []
        routes = self._routes(lambda at, _, to, reason, delay: changes.append((at, reason, delay)))
        with closing(routes):
            written = self._write_until_struck(routes, WAYS[way])
        if len(changes) != 1:
            raise ChildFailed(f"a peer was {way}, and the text changed its route {len(changes)} times: want 1")
        (at, reason, delay), healed = changes[0], self._heal(way)
        return Outage(way=way, at=at, delay=delay, reason=reason, same=written == self.expected, healed=healed)

    def _write_until_struck(self, routes: Routes, number: signal.Signals) -> list[int]:
        """The whole text. The peer fails at some moment of the token behind a quarter to three quarters of it."""
        length, written, asked = self.job.tokens, list[int](), time.monotonic()
        last = self.chance.randrange(length // 4, 3 * length // 4)
        for token in text(self.job, routes):
            written.append(token)
            if len(written) == last:
                moment = self.chance.uniform(0, time.monotonic() - asked)
                strike = threading.Timer(moment, self.peer.strike, [number])
                strike.start()
            asked = time.monotonic()
        strike.join()
        return written

    def _heal(self, way: str) -> float:
        """Bring the peer back. Returns the seconds until a text goes through it again."""
        if way == "killed":
            self.peer.start()
        else:
            self.peer.strike(signal.SIGCONT)
        began = time.monotonic()
        while not self._is_whole():
            if time.monotonic() - began > HEAL_SECONDS:
                raise ChildFailed(f"the swarm does not answer {HEAL_SECONDS:g} s after the peer that was {way} came back")
            time.sleep(POLL)
        return time.monotonic() - began

    def _is_whole(self) -> bool:
        """Whether the swarm reads a token."""
        route = self._swarm()
        try:
            route.read(np.array([self.job.prompt[:1]]))
        except Unanswered:
            return False
        finally:
            route.close()
        return True

    def _routes(self, on_fallback: Callable[[int, petals.Route, petals.Route, str, float], None]) -> Routes:
        return Routes(self.model.context, None, [("swarm", self._swarm()), ("local", LocalRoute(self.model.decoder))], on_fallback)

    def _swarm(self) -> SwarmRoute:
        return SwarmRoute(self.chain, self.model.context, self.model.context, PetalsSettings().patience)


def fail_in_turns(field: Field) -> list[Outage]:
    """Raises ChildFailed, OSError."""
    case, job = field.case, field.job
    with joined(field.through(field.two, "outages")) as chain:
        model = open_model(Path(job.folder), case.prefix)
        model.open_ahead()
        scene = Scene(job, model, chain, field.two[-1], list(text(job, model.decoder())))
        outages = []
        for number in range(case.outages):
            sys.stderr.write(f"{case.recipe.name}: outages {number + 1} of {case.outages}\n")
            outages += [scene.fail(way) for way in WAYS]
        return outages


def text(job: Job, decoder: Reads[Any]) -> Iterator[int]:  # Any: what its caches are is its own business
    """The likeliest tokens behind the prompt."""
    return (int(token) for (token,) in islice(generate(decoder, np.array([job.prompt]), Sampling(temperature=0)), job.tokens))
