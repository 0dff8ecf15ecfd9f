"""The checkpoints of one run: put into the store, written into the run's journal, and removed when nothing needs them any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from agents.parts.safetensors import BadSafetensors
from agents.trainer import checkpoint, journal
from agents.trainer.checkpoint import BadCheckpoint, Content
from agents.trainer.journal import Journal, Kept
from agents.trainer.report import Report
from agents.trainer.retention import best_of, retained, superfluous
from agents.trainer.state import State, Weights
from bus.store import NotInStore, Store

_log = structlog.get_logger()


class Loaded(NamedTuple):
    """A checkpoint that was read back."""

    kept: Kept
    content: Content
    state: State


@dataclass(slots=True)
class Shelf:
    """Used by the training thread alone. `keep` checkpoints stay, and the best."""

    artifacts: Path
    report: Report
    keep: int
    _store: Store = field(init=False)
    _journal: Journal | None = None
    _superfluous: dict[str, str] = field(default_factory=dict)  # files to remove, by hash: the kind of each

    def __post_init__(self) -> None:
        self._store = Store(self.artifacts)

    def open(self, present: Journal) -> None:
        """Begin with this journal: from now on the run can go on after a kill. Raises OSError."""
        self._journal = present
        self._settle()

    @property
    def newest(self) -> Kept | None:
        """The checkpoint that was saved last."""
        return self._journal.checkpoints[-1] if self._journal and self._journal.checkpoints else None

    def newest_state(self) -> Loaded | None:
        """The newest checkpoint that can be read, for a run to go on with; None where there is none."""
        for kept in self._journal.resumable if self._journal else ():
            try:
                return Loaded(kept, *checkpoint.load_state(kept.meta, self._store))
            except (NotInStore, BadSafetensors, BadCheckpoint, OSError) as error:
                _log.error("a checkpoint cannot be read: the one before it is taken", step=kept.step, reason=str(error))
        return None

    def load(self, meta_hash: str) -> tuple[Content, Weights]:
        """Another run's checkpoint. Raises NotInStore, BadSafetensors, BadCheckpoint."""
        return checkpoint.load(meta_hash, self._store)

    def put(self, data: bytes, kind: str, parents: list[str]) -> None:
        """Keep a JSON file that the run is made of, and say so. Raises OSError."""
        self.report.artifact(self._store.put(data), kind, "application/json", parents)

    def save(self, state: State, content: Content, seconds: float, final: bool) -> None:
        """Put a checkpoint into the store, `seconds` into the run, and let go what it makes superfluous. Raises OSError, BusError."""
        if self._journal is None:
            raise RuntimeError("a run saves a checkpoint only after it has begun")
        saved = checkpoint.save(state, content, self._store)
        kept = Kept(
            step=content.step,
            weights=saved.weights.hash,
            meta=saved.meta.hash,
            optimizer=saved.optimizer.hash,
            heldout_loss=content.heldout_loss,
        )
        before = [*(each for each in self._journal.checkpoints if each.step < kept.step), kept]
        after = retained(before, self.keep)
        if not self.report.saved(saved, final, best=best_of(before) is kept):
            return  # the agent ended meanwhile, and said that the run goes on from the checkpoint before
        self._superfluous = {**self._superfluous, **superfluous(before, after)}
        self._journal = replace(self._journal, checkpoints=after, seconds=seconds, deaths=0)
        self._settle()

    def end(self) -> None:
        """The run is over: it does not go on. Raises OSError."""
        if self._journal is not None:
            self._journal = replace(self._journal, ended=True)
            self._settle()

    def _settle(self) -> None:
        """Bring the disk up to what was said. The log comes first: what a run said before it goes on is not said again."""
        if self._journal is None or not self.report.flush():
            return
        journal.write(self._journal, self.artifacts)
        needed = {digest for kept in self._journal.checkpoints for digest in kept.files}
        needed |= journal.in_use(self.artifacts, without=self._journal.plan.run) if self._superfluous else set()
        removed = {digest: kind for digest, kind in self._superfluous.items() if digest not in needed}
        for digest, kind in removed.items():
            self.report.removed(digest, kind)
        if not removed or self.report.flush():
            self._remove(removed)

    def _remove(self, files: dict[str, str]) -> None:
        self._superfluous = {}
        for digest in files:
            try:
                self._store.remove(digest)
            except NotInStore:  # removed by hand, or by a life of this run that died before it wrote its journal
                continue
