"""What a run says of itself on the bus, until it has ended."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from agents.trainer import origin
from agents.trainer.checkpoint import Saved
from agents.trainer.plan import Plan
from bus.store import Stored
from bus.topic import Topic
from schemas import train
from schemas.system import ARTIFACT, Artifact

T = TypeVar("T")

END_PATIENCE = 0.1
"""Seconds; the end of the agent may not wait for a bus that takes nothing."""


class Publish(Protocol):
    """An agent's `publish`."""

    def __call__(self, topic: Topic[T], data: T, *, run: str | None = None) -> str: ...


@dataclass(slots=True)
class Report:
    """Publishes the events of one run under its name. After the last one nothing more is published, from whichever thread it comes."""

    run: str
    publish_event: Publish
    _ended: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def publish(self, topic: Topic[T], event: T) -> None:
        """Publish one event, unless the run has ended."""
        with self._lock:
            if not self._ended:
                self.publish_event(topic, event, run=self.run)

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

    def started(self, plan: Plan, dataset: train.Dataset, device: str) -> None:
        """Say what decides the run's result."""
        event = train.RunStarted(
            hyperparameters=plan.hyper,
            dataset=dataset,
            device=device,
            parameters=plan.recipe.parameters,
            flops_per_token=plan.recipe.flops_per_token,
            versions=origin.versions(),
            git_commit=origin.git_commit(),
        )
        self.publish(train.RUN_STARTED, event)

    def saved(self, saved: Saved, final: bool) -> None:
        """Say that a checkpoint is in the store, and which files it is made of."""
        weights, meta = saved.weights, saved.meta
        self.publish(ARTIFACT, _artifact(weights, "checkpoint", None, []))
        self.publish(ARTIFACT, _artifact(meta, "checkpoint-meta", "application/json", [weights.hash]))
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
        )
        self.publish(train.CHECKPOINT, event)


def _artifact(stored: Stored, kind: str, media_type: str | None, parents: list[str]) -> Artifact:
    return Artifact(hash=stored.hash, size=stored.size, kind=kind, path=stored.path, parents=parents, media_type=media_type)
