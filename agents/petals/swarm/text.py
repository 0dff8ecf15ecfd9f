"""One text through the swarm: tokens go through blocks on peers and, where asked for, through blocks of this machine between them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
from hivemind.p2p import PeerID
from petals.client.inference_session import InferenceSession, _ServerInferenceSession
from petals.data_structures import ServerState

from agents.petals.messages import Logits, Open, Unread
from agents.petals.swarm.blocks import LocalBlocks
from agents.petals.swarm.look import announced, silent
from agents.petals.swarm.pipe import LONGEST, Pipe
from agents.petals.swarm.routing import Routing
from agents.petals.swarm.skeleton import Skeleton

Step = Callable[[torch.Tensor], torch.Tensor]
"""Hidden states [1, tokens, width] through some blocks, behind those that went before."""


@dataclass(frozen=True, slots=True)
class Source:
    """What texts are made with: the model's folder, the cache of layers and the model's name in it, embeddings and head, and the routes."""

    folder: Path
    cache: Path
    kept_as: str
    skeleton: Skeleton
    routing: Routing


class Text:
    """A session. Its thread reads what it is asked to read, one piece after the other, and says the logits or why there are none."""

    def __init__(self, pipe: Pipe, source: Source, opened: Open, on_failure: Callable[[], None]) -> None:
        self._pipe, self._source, self._opened, self._on_failure = pipe, source, opened, on_failure
        self._asked: queue.SimpleQueue[list[int] | None] = queue.SimpleQueue()
        self._steps: Steps | None = None
        self._since: float | None = None
        self._said = threading.Lock()  # taken once, by who says that the text has failed
        threading.Thread(target=self._run, name=f"text-{opened.session}", daemon=True).start()

    def read(self, tokens: list[int]) -> None:
        self._asked.put(tokens)

    def close(self) -> None:
        self._asked.put(None)

    def waited(self) -> float:
        """Seconds since the piece that is being read was begun; 0 where none is, or nothing comes of it."""
        since = self._since
        return 0.0 if since is None or self._said.locked() else time.monotonic() - since

    def peers(self) -> set[PeerID]:
        """Those whose blocks the text goes through."""
        return set() if self._steps is None else self._steps.peers()

    def fail(self, error: str, message: str) -> None:
        """Say that nothing more comes of this text; only the first one to say so is heard."""
        if self._said.acquire(blocking=False):
            self._on_failure()
            self._pipe.say(Unread(session=self._opened.session, error=error, message=message[:LONGEST]))

    def _run(self) -> None:
        try:
            with torch.inference_mode(), Steps(self._source, self._opened) as self._steps:
                while (tokens := self._asked.get()) is not None:
                    self._answer(tokens, self._steps)
        except Exception as error:  # whatever it is, another route answers
            self.fail(type(error).__name__, str(error))

    def _answer(self, tokens: list[int], steps: Steps) -> None:
        self._since = time.monotonic()
        hidden = self._source.skeleton.embed(tokens)
        for step in steps.steps:
            hidden = step(hidden)
        self._since = None
        numbers = self._source.skeleton.logits(hidden).tobytes()
        if not self._said.locked():
            self._pipe.say(Logits(session=self._opened.session, numbers=numbers, route="mixed" if steps.are_mixed else "swarm"))


class Steps:
    """The way of one text through all blocks; leaving it ends its sessions with peers."""

    def __init__(self, source: Source, opened: Open) -> None:
        self._sessions: list[InferenceSession] = []
        self._source, self._length = source, opened.length
        runs = [(False, 0, len(source.routing))] if not opened.mixed else list(divided(source.routing))
        self.are_mixed = any(is_local for is_local, _, _ in runs)
        self.steps = [self._local(start, end) if is_local else self._remote(start, end) for is_local, start, end in runs]

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *details: object) -> None:
        for session in self._sessions:
            session.close()

    def peers(self) -> set[PeerID]:
        """Those whom the sessions have chosen, which Petals keeps to itself."""
        return {each.span.peer_id for session in self._sessions for each in list(session._server_sessions)}

    def _remote(self, start: int, end: int) -> Step:
        routing = self._source.routing
        session = InferenceSession(routing if (start, end) == (0, len(routing)) else routing[start:end], max_length=self._length)
        self._sessions.append(session)
        return session.step

    def _local(self, start: int, end: int) -> Step:
        source = self._source
        blocks = LocalBlocks.open(source.folder, source.cache, source.kept_as, start, end, source.skeleton.config)
        return blocks.text().step


def close_by_hand() -> None:
    """Let no session with a peer close itself when it is collected.

    Petals closes what is left open in `__del__`, and waits there for its event loop. The collector also runs in that loop's own thread,
    where this never ends, and with it every text of this process. Here who opens a session closes it.
    """
    for kind in (_ServerInferenceSession, InferenceSession):
        kind.__del__ = lambda session: None


def divided(routing: Routing) -> Iterator[tuple[bool, int, int]]:
    """The blocks in runs: is it for this machine, from where, to where. A block is remote where a peer that is used has it, and answers."""
    spans = [span for span in announced(routing).values() if span.state == ServerState.ONLINE and is_used(routing, span.peer_id)]
    gone = silent(routing, [span.peer_id for span in spans])  # what a killed peer announced is there for some seconds longer
    online = [False] * len(routing)
    for span in spans:
        if span.peer_id not in gone:
            online[span.start : span.end] = [True] * (span.end - span.start)
    for is_online, layers in groupby(range(len(online)), key=online.__getitem__):
        run = list(layers)
        yield not is_online, run[0], run[-1] + 1


def is_used(routing: Routing, peer: PeerID) -> bool:
    allowed = routing.allowed_servers is None or peer in routing.allowed_servers
    return allowed and peer not in routing.blocked_servers
