"""The agent's side of the chain: a text's session in the swarm, read with a deadline."""

from __future__ import annotations

import itertools
import queue
import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.petals.child import Child, Gone
from agents.petals.errors import Unanswered
from agents.petals.messages import Close, Logits, Message, Open, Read, Unread


@dataclass(slots=True)
class ChainClient:
    """Sessions of a chain that is ready. Threads may share it: each has a session of its own."""

    child: Child
    _answers: dict[int, queue.SimpleQueue[Logits | Unread]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _gone: str | None = None

    def open(self, length: int, mixed: bool) -> int:
        """Begin a text of at most so many tokens. Raises Unanswered."""
        session = next(self._numbers)
        with self._lock:
            if self._gone is not None:
                raise Unanswered(self._gone)
            self._answers[session] = queue.SimpleQueue()  # before it is asked for: the answer may be a refusal at once
        try:
            self._say(Open(session=session, length=length, mixed=mixed))
        except Unanswered:
            del self._answers[session]
            raise
        return session

    def read(self, session: int, tokens: list[int], seconds: float) -> Logits:
        """What follows the tokens behind those that were read before. Raises Unanswered, also where it takes longer."""
        answers = self._answers[session]
        self._say(Read(session=session, tokens=tokens))
        try:
            answer = answers.get(timeout=seconds)
        except queue.Empty:
            raise Unanswered(f"the swarm took more than {seconds:g} s for {len(tokens)} tokens") from None
        if isinstance(answer, Unread):
            raise Unanswered(f"{answer.error}: {answer.message}")
        return answer

    def interrupt(self, session: int) -> None:
        """Who waits for this session's answer waits no longer."""
        if (answers := self._answers.get(session)) is not None:
            answers.put(Unread(session=session, error="Cancelled", message="nobody waits for the text any more"))

    def close(self, session: int) -> None:
        """Nothing more is read."""
        with self._lock:
            self._answers.pop(session, None)
        try:
            self.child.say(Close(session=session))
        except Gone:
            return

    def hear(self, message: Message) -> None:
        """Take what the chain answers; that of a text that has ended is not missed."""
        if isinstance(message, Logits | Unread) and (answers := self._answers.get(message.session)) is not None:
            answers.put(message)

    def end(self, reason: str) -> None:
        """The chain is there no more: whoever waits is told at once."""
        with self._lock:
            self._gone = f"the chain has ended: {reason}"
            waiting = dict(self._answers)
        for session, answers in waiting.items():
            answers.put(Unread(session=session, error="Gone", message=self._gone))

    def _say(self, message: Message) -> None:
        try:
            self.child.say(message)
        except Gone as error:
            raise Unanswered(str(error)) from error


def numbers_of(answer: Logits) -> NDArray[np.float32]:
    """Logits [1, vocabulary]."""
    return np.frombuffer(answer.numbers, np.float32)[None]
