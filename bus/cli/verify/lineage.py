"""Every artifact against its hash and the events that made it, and every file of the store against the artifacts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from bus.cli.verify.exports import KINDS as EXPORTED
from bus.cli.verify.exports import Exports
from bus.cli.verify.finding import Finding
from bus.errors import CorruptFrame
from bus.event import Event
from bus.store import FOLDER, path_of
from bus.topic import Topic
from bus.wire import Envelope, to_event
from schemas import export, system, train

READS: dict[str, Topic[Any]] = {
    topic.name: topic
    for topic in (
        system.ARTIFACT,
        system.REMOVED,
        train.RUN_STARTED,
        train.CHECKPOINT,
        train.RUN_COMPLETED,
        train.RUN_FAILED,
        export.STARTED,
        export.PARITY,
        export.COMPLETED,
    )
}
"""What lineage is told by."""
Place = tuple[str, str]
"""An artifact's hash, and where it lies: in the store once, outside of it as often as somebody needs it."""
_META_LIMIT = 1 << 20  # bytes of a checkpoint's JSON that are parsed at most
_AGAIN = "take it from a copy of the store, or make it again and let this one go"


class _MetaContent(Struct, frozen=True):
    run: str
    step: int


class _Meta(Struct, frozen=True):
    """What a checkpoint's JSON says of itself."""

    weights: str
    content: _MetaContent


@dataclass(frozen=True, slots=True)
class _Made:
    """Every artifact's hash; what may be a parent, each with its own parents; for the kinds that an event must name, those named."""

    hashes: set[str]
    parents: dict[str, list[str]]
    named: dict[str, set[str]]


@dataclass
class Lineage:
    """What the log says of artifacts, runs and exports. It grows with them, not with the log."""

    artifacts: dict[Place, Event[system.Artifact]] = field(default_factory=dict)
    checkpoints: list[Event[train.Checkpoint]] = field(default_factory=list)
    runs: dict[str, Event[train.RunStarted]] = field(default_factory=dict)
    ends: dict[str, Event[train.RunCompleted] | Event[train.RunFailed]] = field(default_factory=dict)
    exports: Exports = field(default_factory=Exports)
    undecodable: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    broken: set[Place] = field(default_factory=set)
    removed: set[Place] = field(default_factory=set)

    def take(self, topic: str, envelope: Envelope) -> None:
        """One event of READS that is no replay."""
        try:
            event = to_event(topic, envelope, READS[topic].type)
        except CorruptFrame:
            self.undecodable.append(envelope.id(topic))
            return
        match event.data:
            case system.Artifact():
                self._take_artifact(event)
            case system.Removed():
                self.removed.add((event.data.hash, event.data.path or path_of(event.data.hash)))
            case train.Checkpoint():
                self.checkpoints.append(event)
            case train.RunStarted():
                self.runs.setdefault(event.run or "", event)
            case train.RunCompleted() | train.RunFailed():
                self.ends[event.run or ""] = event
            case export.Started() | export.Parity() | export.Completed():
                self.exports.take(event)

    def _take_artifact(self, event: Event[system.Artifact]) -> None:
        """Equal bytes may be made more than once, but only of one size."""
        place = event.data.hash, event.data.path
        self.removed.discard(place)
        known = self.artifacts.setdefault(place, event)
        if known.data.size != event.data.size:
            self.contradictions.append(event.id)

    def findings(self, folder: Path, stored: Iterable[Path]) -> Iterator[Finding]:
        """What does not hold of the artifacts below `folder`, whose store has the files `stored`. `broken` has the places afterwards."""
        for event_id in self.undecodable:
            yield Finding(kind="unreadable", where=event_id, what="its data is not what the topic says", mend="find out who published it")
        for event_id in self.contradictions:
            what = "it names another size than an earlier artifact.created of the same hash"
            yield Finding(kind="unexplained", where=event_id, what=what, mend="find out who published it")
        made = self._made()
        for place, event in self.artifacts.items():
            found = [] if place in self.removed else _file(folder, event.data)
            exported = self.exports.checkpoints.get(event.run or "", set())
            for finding in (*found, *_origin(event.data, made, exported)):
                self.broken.add(place)
                yield finding
        for checkpoint in self.checkpoints:
            yield from self._checkpoint(folder, checkpoint)
        for run, end in self.ends.items():
            yield from self._end(run, end, made)
        yield from self.exports.findings({(each.run or "", each.data.hash) for each in self.checkpoints}, made.hashes)
        yield from self._strangers(folder, stored)

    def _made(self) -> _Made:
        parents: dict[str, list[str]] = {run.data.dataset.hash: [] for run in self.runs.values()}
        for event in self.artifacts.values():
            parents.setdefault(event.data.hash, []).extend(event.data.parents)
        return _Made(
            hashes={digest for digest, _ in self.artifacts},
            parents=parents,
            named={
                "checkpoint": {each.data.hash for each in self.checkpoints},
                "checkpoint-meta": {each.data.meta_hash for each in self.checkpoints},
                "optimizer": {each.data.optimizer_hash for each in self.checkpoints if each.data.optimizer_hash},
            },
        )

    def _checkpoint(self, folder: Path, event: Event[train.Checkpoint]) -> Iterator[Finding]:
        """Whether a checkpoint is of a run that began, its two files are artifacts, and the one describes the other."""
        checkpoint = event.data
        if (event.run or "") not in self.runs:
            yield _rootless(event.id, f"is of the run {event.run or '(none)'}")
        for digest, path in ((checkpoint.hash, checkpoint.path), (checkpoint.meta_hash, checkpoint.meta_path)):
            if (digest, path) not in self.artifacts:
                yield Finding(kind="unexplained", where=event.id, what=f"no artifact.created has its {digest} at {path}", mend=_AGAIN)
        meta = checkpoint.meta_hash, checkpoint.meta_path
        if meta not in self.artifacts or meta in self.broken:
            return
        found = _meta(folder / checkpoint.meta_path)
        if found is None or (found.weights, found.content.step, found.content.run) != (checkpoint.hash, checkpoint.step, event.run):
            what = f"it does not describe step {checkpoint.step} of {event.run} with the weights {checkpoint.hash}"
            yield Finding(kind="unexplained", where=checkpoint.meta_path, what=what, mend=_AGAIN)

    def _end(self, run: str, event: Event[train.RunCompleted] | Event[train.RunFailed], made: _Made) -> Iterator[Finding]:
        """Whether a run that ended began, and left the weights that it names. One may fail before it begins: there is no such data."""
        if run not in self.runs and not (isinstance(event.data, train.RunFailed) and event.data.step == 0):
            yield _rootless(event.id, f"ends the run {run or '(none)'}")
        weights = event.data.checkpoint if isinstance(event.data, train.RunCompleted) else None
        if weights is not None and weights not in made.hashes:
            yield Finding(kind="unexplained", where=event.id, what=f"no artifact.created has its checkpoint {weights}", mend=_AGAIN)

    def _strangers(self, folder: Path, stored: Iterable[Path]) -> Iterator[Finding]:
        """Files of the store that no event made."""
        explained = {folder / event.data.path for event in self.artifacts.values()}
        for path in sorted(stored):
            if path not in explained:
                what = "no artifact.created names this file"
                mend = "made a moment ago? verify again; else remove it: who made it died before saying so"
                yield Finding(kind="unexplained", where=str(path.relative_to(folder)), what=what, mend=mend)


def _origin(artifact: system.Artifact, made: _Made, exported: Set[str]) -> Iterator[Finding]:
    """Whether the events that made an artifact are there. `exported` are the checkpoints that exports of its run are of."""
    for parent in artifact.parents:
        if parent not in made.parents:
            yield _unexplained(artifact, f"its parent {parent} is neither an artifact nor a dataset of a run")
    if artifact.hash not in made.named.get(artifact.kind, {artifact.hash}):
        yield _unexplained(artifact, f"no train.checkpoint names this {artifact.kind}")
    if artifact.kind in EXPORTED and not _comes_from(exported, artifact.parents, made.parents):
        yield _unexplained(artifact, f"none of its run's export.started names a checkpoint that this {artifact.kind} comes from")


def _comes_from(roots: Set[str], parents: Sequence[str], made: Mapping[str, Sequence[str]]) -> bool:
    """Whether one of the parents, or of theirs, is one of the roots."""
    waiting, seen = list(parents), set()
    while waiting:
        parent = waiting.pop()
        if parent in roots:
            return True
        if parent not in seen:
            seen.add(parent)
            waiting += made.get(parent, ())
    return False


def stored_files(folder: Path) -> list[Path]:
    """The store's files now, links included. List them before the log is read: what comes later may not be in it yet."""
    store = folder / FOLDER
    return [path for path in store.rglob("*") if path.is_symlink() or path.is_file()] if store.is_dir() else []


def _file(folder: Path, artifact: system.Artifact) -> Iterator[Finding]:
    """Whether an artifact's file has its size and hash. The file is read a piece at a time."""
    path = folder / artifact.path
    if path.is_symlink() or not path.resolve().is_relative_to(folder.resolve()):
        yield Finding(kind="changed", where=artifact.path, what="a link stands where the file was", mend=_AGAIN)
    elif not path.is_file():
        yield Finding(kind="missing", where=artifact.path, what=f"the {artifact.kind} is not there", mend=_AGAIN)
    elif (size := path.stat().st_size) != artifact.size:
        yield Finding(kind="changed", where=artifact.path, what=f"{size} bytes, and its event says {artifact.size}", mend=_AGAIN)
    else:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != artifact.hash:
            yield Finding(
                kind="changed", where=artifact.path, what=f"its bytes have the SHA-256 {digest}, not that of its event", mend=_AGAIN
            )


def _meta(path: Path) -> _Meta | None:
    """A checkpoint's JSON; None for what is none."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(_META_LIMIT), type=_Meta)
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):  # a finding of its own, or the caller's
        return None


def _unexplained(artifact: system.Artifact, what: str) -> Finding:
    return Finding(
        kind="unexplained", where=artifact.path, what=what, mend="find out who made it; do not use it for what must be traceable"
    )


def _rootless(event_id: str, what: str) -> Finding:
    return Finding(kind="unexplained", where=event_id, what=f"{what}, which no train.run.started began", mend="find out who published it")
