"""The checkpoints of one run: put into the store, written into the run's journal, and removed when nothing needs them any more."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from agents.parts.checkpoint import BadCheckpoint, Content
from agents.parts.safetensors import BadSafetensors
from agents.trainer import checkpoint, journal
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
    """Of one run, `keep` checkpoints and the best. Used by the training thread; `suspend` may come from another one."""

    artifacts: Path
    report: Report
    keep: int
    _store: Store = field(init=False)
    _journal: Journal | None = None  # as it is to be
    _written: Journal | None = None  # as it is on disk
    _closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._store = Store(self.artifacts)

    def open(self, present: Journal) -> None:
        """Begin with this journal: from now on the run can go on after a kill. Raises OSError."""
        self._journal = present
        self._settle()

    def reopen(self, present: Journal) -> None:
        """Go on with what is on disk, and count this life as one that ended without a word, until it ends otherwise. Raises OSError."""
        self._journal = self._written = replace(present, deaths=present.deaths + 1)
        journal.write(self._written, self.artifacts)

    @property
    def is_open(self) -> bool:
        """Whether the run can go on from what is on disk."""
        return self._written is not None

    @property
    def resumes_at(self) -> int:
        """The step after which the run goes on if its process ends now."""
        resumable = self._written.resumable if self._written else []
        return resumable[0].step if resumable else 0

    @property
    def newest(self) -> Kept | None:
        """The checkpoint that was saved last."""
        return self._journal.checkpoints[-1] if self._journal and self._journal.checkpoints else None

    def newest_state(self) -> Loaded | None:
        """The newest checkpoint that can be read, for a run to go on with; None where there is none. What is newer is let go."""
        if self._journal is None:
            return None
        found = next((loaded for kept in self._journal.resumable if (loaded := self._load(kept)) is not None), None)
        readable = [kept for kept in self._journal.checkpoints if found is not None and kept.step <= found.kept.step]
        self._keep_only(readable)
        return found

    def load(self, meta_hash: str) -> tuple[Content, Weights]:
        """Another run's checkpoint. Raises NotInStore, BadSafetensors, BadCheckpoint."""
        return checkpoint.load(meta_hash, self._store)

    def put(self, data: bytes, kind: str, media_type: str | None, parents: list[str]) -> None:
        """Keep a file that says what the run is made of, and say so. It stays for good. Raises OSError."""
        self.report.artifact(self._store.put(data), kind, media_type, parents)

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
        if not self.report.saved(saved, final, best=best_of(before) is kept):
            return  # the agent ended meanwhile, and said that the run goes on from the checkpoint before
        self._journal = replace(self._journal, checkpoints=before, seconds=seconds, deaths=0)
        self._keep_only(retained(before, self.keep))
        self._settle()

    def end(self) -> None:
        """The run is over: it does not go on. Raises OSError."""
        with self._lock:
            self._closed = True
            if self._journal is not None:
                journal.write(replace(self._journal, ended=True), self.artifacts)

    def suspend(self) -> None:
        """This life of the run ends in order: it goes on from what is on disk, which nothing changes any more. Raises OSError."""
        with self._lock:
            was_closed, self._closed = self._closed, True
            if not was_closed and self._written is not None and self._written.deaths:
                journal.write(replace(self._written, deaths=0), self.artifacts)

    def _load(self, kept: Kept) -> Loaded | None:
        try:
            return Loaded(kept, *checkpoint.load_state(kept.meta, self._store))
        except (NotInStore, BadSafetensors, BadCheckpoint, OSError) as error:
            _log.error("a checkpoint cannot be read: the one before it is taken", step=kept.step, reason=str(error))
            return None

    def _keep_only(self, checkpoints: list[Kept]) -> None:
        if self._journal is not None:
            unneeded = superfluous(self._journal.checkpoints, checkpoints)
            self._journal = replace(self._journal, checkpoints=checkpoints, superfluous={**self._journal.superfluous, **unneeded})

    def _settle(self) -> None:
        """Bring the disk up to what was said. The log comes first: what a run said before it goes on is not said again."""
        if self._journal is not None and self.report.flush() and self._write(self._journal) and self._journal.superfluous:
            self._clear(self._journal)

    def _write(self, present: Journal) -> bool:
        """Replace the journal on disk; False where this life of the run is over."""
        with self._lock:
            if not self._closed:
                journal.write(present, self.artifacts)
                self._written = present
            return not self._closed

    def _clear(self, present: Journal) -> None:
        """Remove what is superfluous, once the log says so: a kill in between leaves it to the next time."""
        needed = {digest for kept in present.checkpoints for digest in kept.files}
        needed |= journal.in_use(self.artifacts, without=present.plan.run)
        leaving = {digest: kind for digest, kind in present.superfluous.items() if digest not in needed}
        said = [self.report.removed(digest, kind) for digest, kind in leaving.items()]
        if not all(said) or not self.report.flush():
            return
        with self._lock:
            if self._closed:
                return
            for digest in leaving:
                self._remove(digest)
        self._journal = replace(present, superfluous={})
        self._write(self._journal)

    def _remove(self, digest: str) -> None:
        try:
            self._store.remove(digest)
        except NotInStore:
            _log.debug("a file that was to leave the store was not in it", hash=digest)
