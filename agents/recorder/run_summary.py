"""run.json: what decided a run, how it went, and what it left."""

from __future__ import annotations

from msgspec import Struct

from bus.event import Event
from schemas import train


class CheckpointEntry(Struct, kw_only=True):
    """A checkpoint as run.json lists it.

    `hash` is that of its weights, `meta_hash` the one that a run starts from; `best`: with the lowest held-out loss; `kept`: its
    weights are still in the store.
    """

    step: int
    hash: str
    meta_hash: str
    path: str
    loss: float
    heldout_loss: float | None
    best: bool = False
    kept: bool = True


class EnergySummary(Struct, kw_only=True):
    """What the run's steps used, where a sensor covers them; `tokens` are those of the steps that are covered.

    Null joules have their `reason`.
    """

    joules: float | None = None
    tokens: int = 0
    joules_per_token: float | None = None
    source: str | None = None
    reason: str | None = "no step is over"

    def add(self, step: train.Step) -> None:
        """Count a step, also one that is taken again: its energy was used."""
        if step.joules is None:
            self.reason = step.energy_reason if self.joules is None else None
            return
        self.joules, self.tokens = (self.joules or 0.0) + step.joules, self.tokens + step.tokens
        self.joules_per_token, self.source, self.reason = self.joules / self.tokens, step.energy_source, None


class RunSummary(Struct, kw_only=True):
    """run.json: what decided the run, and how it went. Times are ns since the Unix epoch, losses nats per token.

    `resumed` are the steps after which it went on, once its process had ended.
    """

    run: str
    outcome: str
    started: int
    ended: int | None = None
    seed: int
    steps: int = 0
    loss: float | None = None
    heldout_loss: float | None = None
    tokens: int = 0
    seconds: float | None = None
    reason: str | None = None
    error: str | None = None
    resumed: list[int] = []
    energy: EnergySummary
    device: str
    parameters: int
    flops_per_token: int
    hyperparameters: train.Hyperparameters
    dataset: train.Dataset
    dataset_hash: str
    checkpoint_hash: str | None = None
    checkpoints: list[CheckpointEntry] = []
    versions: dict[str, str]
    git_commit: str | None
    git_changed: bool | None
    command_line: list[str]
    parent: str | None

    def add_checkpoint(self, entry: CheckpointEntry) -> None:
        """A checkpoint, which may be one that is said again."""
        self._set_checkpoints([*(each for each in self.checkpoints if each.step != entry.step), entry])

    def rewind(self, resumed: train.RunResumed) -> list[CheckpointEntry]:
        """The run goes on after an earlier step. Returns the checkpoints that it has no more."""
        later = [entry for entry in self.checkpoints if entry.step > resumed.step]
        self.outcome, self.ended = "running", None
        self.resumed.append(resumed.step)
        self.steps, self.tokens, self.loss, self.heldout_loss = resumed.step, resumed.tokens, resumed.loss, resumed.heldout_loss
        self._set_checkpoints([entry for entry in self.checkpoints if entry.step <= resumed.step])
        return later

    def _set_checkpoints(self, entries: list[CheckpointEntry]) -> None:
        best = min((each for each in entries if each.heldout_loss is not None), key=lambda each: each.heldout_loss or 0.0, default=None)
        for each in entries:
            each.best = each is best
        self.checkpoints, self.checkpoint_hash = entries, entries[-1].hash if entries else None


def begin(run: str, event: Event[train.RunStarted]) -> RunSummary:
    """That of a run which has only said what it is to be."""
    started = event.data
    return RunSummary(
        run=run,
        outcome="running",
        started=event.time,
        seed=started.hyperparameters.seed,
        device=started.device,
        parameters=started.parameters,
        flops_per_token=started.flops_per_token,
        hyperparameters=started.hyperparameters,
        dataset=started.dataset,
        dataset_hash=started.dataset.hash,
        versions=started.versions,
        git_commit=started.git_commit,
        git_changed=started.git_changed,
        command_line=started.command_line,
        energy=EnergySummary(),
        parent=started.parent,
    )
