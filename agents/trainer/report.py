"""What a run says of itself on the bus, until it has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from agents.trainer import origin
from agents.trainer.checkpoint import Saved
from agents.trainer.plan import Plan
from bus.agent import Publish
from bus.errors import BusTimeout
from bus.store import Stored
from bus.topic import Topic
from schemas import train
from schemas.system import ARTIFACT, REMOVED, Artifact, Removed

T = TypeVar("T")

FLUSH_TIMEOUT = 5.0
END_PATIENCE = 0.1
"""Seconds; the end of the agent may not wait for a bus that takes nothing."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Report:
    """Publishes the events of one run under its name. After the last one nothing more is published, from whichever thread it comes."""

    run: str
    publish_event: Publish
    flush_events: Callable[[float], None]
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def publish(self, topic: Topic[T], event: T) -> bool:
        """Publish one event, unless the run has ended; whether it was published."""
        with self._lock:
            if self._ended:
                return False
            self.publish_event(topic, event, run=self.run)
            return True

    def end(self, topic: Topic[T], event: T) -> None:
        """Publish the run's last event; the first call wins. Gives up where another thread's event is held up by the bus."""
        if not self._lock.acquire(timeout=END_PATIENCE):
            return
        try:
            if not self._ended:
                self._ended = True
                self.publish_event(topic, event, run=self.run)
        finally:
            self._lock.release()

    def flush(self) -> bool:
        """Wait until all that was said is in the log; False, said to the operator, where that takes too long."""
        try:
            self.flush_events(FLUSH_TIMEOUT)
        except BusTimeout as error:
            _log.warning("the log is behind: after a kill the run would go on from an earlier checkpoint", run=self.run, reason=str(error))
            return False
        return True

    def silence(self) -> None:
        """Say nothing more of a run that has not begun."""
        self._ended = True

    def started(self, plan: Plan, dataset: train.Dataset, device: str) -> bool:
        """Say what decides the run's result; whether it was said."""
        commit, changed = origin.git_commit()
        event = train.RunStarted(
            hyperparameters=plan.hyper,
            dataset=dataset,
            device=device,
            parameters=plan.recipe.parameters,
            flops_per_token=plan.recipe.flops_per_token,
            versions=origin.versions(),
            git_commit=commit,
            git_changed=changed,
            parent=plan.parent,
            command_line=origin.command_line(),
        )
        return self.publish(train.RUN_STARTED, event)

    def artifact(self, stored: Stored, kind: str, media_type: str | None, parents: list[str]) -> None:
        """Say that a file is in the store."""
        artifact = Artifact(hash=stored.hash, size=stored.size, kind=kind, path=stored.path, parents=parents, media_type=media_type)
        self.publish(ARTIFACT, artifact)

    def removed(self, digest: str, kind: str) -> bool:
        """Say that a file leaves the store; whether it was said."""
        return self.publish(REMOVED, Removed(hash=digest, kind=kind, reason="newer checkpoints took its place"))

    def saved(self, saved: Saved, final: bool, best: bool) -> bool:
        """Say that a checkpoint is in the store, and which files it is made of. False where the run has ended, and it was not said."""
        weights, optimizer, meta = saved.weights, saved.optimizer, saved.meta
        self.artifact(weights, "checkpoint", None, [])
        self.artifact(optimizer, "optimizer", None, [weights.hash])
        self.artifact(meta, "checkpoint-meta", "application/json", [weights.hash])
        event = train.Checkpoint(
            step=saved.content.step,
            hash=weights.hash,
            meta_hash=meta.hash,
            path=weights.path,
            meta_path=meta.path,
            size=weights.size,
            loss=saved.content.loss,
            heldout_loss=saved.content.heldout_loss,
            final=final,
            optimizer_hash=optimizer.hash,
            best=best,
        )
        return self.publish(train.CHECKPOINT, event)
