"""Whom this machine hosts for and uses: the policy as the agent decides it, for the host to read and the chain to be told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from msgspec.structs import replace

from agents.petals.admission.policy import BadPolicy, Policy, allow, block, may_ask, published, read_policy, write_policy
from agents.petals.messages import Trust
from bus.agent import Publish
from schemas import petals

_log = structlog.get_logger()


@dataclass(slots=True)
class Trusted:
    """Owns the file of the policy. `tell` is called with each change of it. Safe from any thread."""

    path: Path
    open: bool
    publish: Publish
    tell: Callable[[Trust], None]
    policy: Policy = field(init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.policy = Policy(open=self.open)

    def recall(self) -> None:
        """Take up what was decided before. A damaged file is put aside, and nobody is allowed until that is said again. Raises OSError."""
        try:
            if self.path.exists():
                self.policy = replace(read_policy(self.path), open=self.open, own=frozenset())  # who they are is known when they start
        except BadPolicy as error:
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            self.policy = Policy(open=False)
            _log.error("who may ask is forgotten, so nobody may: the file was damaged", reason=str(error), aside=str(aside))
        self._decide(self.policy)

    def allow(self, peer: str) -> petals.Policy:
        """Let a peer use the blocks, and use its blocks. Raises BadPolicy, OSError."""
        with self._lock:
            return self._decide(allow(self.policy, peer))

    def block(self, peer: str) -> petals.Policy:
        """Do neither. Raises BadPolicy, OSError."""
        with self._lock:
            return self._decide(block(self.policy, peer))

    def know(self, peer: str) -> None:
        """One of our own peers: whom we host for and use in any case. Raises OSError."""
        with self._lock:
            self._keep(replace(self.policy, own=self.policy.own | {peer}))

    def uses(self, peer: str) -> bool:
        """Whether the blocks of this peer are used."""
        return may_ask(self.policy, peer) is None

    def present(self) -> Trust:
        """Whose blocks are used, as the chain is told: of those that may use ours, and our own; None: anybody's."""
        policy = self.policy
        return Trust(allowed=None if policy.open else sorted(policy.allowed | policy.own), blocked=sorted(policy.blocked))

    def _decide(self, policy: Policy) -> petals.Policy:
        """Let this be the policy, and say so."""
        self._keep(policy)
        self.publish(petals.POLICY, published(policy))
        return published(policy)

    def _keep(self, policy: Policy) -> None:
        write_policy(self.path, policy)
        self.policy = policy
        self.tell(self.present())
