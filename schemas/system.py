"""What is true of the appliance as a whole: artifacts with their lineage, and what the recorder says and answers."""

from __future__ import annotations

from msgspec import Struct

from bus.topic import ArtifactPath, Command, Name, Nothing, Sha256, Topic


class Artifact(Struct, frozen=True, kw_only=True):
    """A file in the store, or one that must lie elsewhere. `hash` is its SHA-256, `size` in bytes, `path` relative to `artifacts/`.

    `parents` are the hashes of what it was made from.
    """

    hash: Sha256
    size: int
    kind: str
    path: ArtifactPath
    parents: list[Sha256] = []
    media_type: str | None = None


class Removed(Struct, frozen=True, kw_only=True):
    """A file leaves the store, or the `path` below `artifacts/` where it lies (null: the store): nothing needs it there any more.

    What was made from it keeps its lineage.
    """

    hash: Sha256
    kind: str
    reason: str
    path: ArtifactPath | None = None


class Gap(Struct, frozen=True, kw_only=True):
    """Events `first` to `last` of a durable stream that their publisher no longer holds and the log does not have."""

    source: str
    epoch: int
    first: int
    last: int


class Projected(Struct, frozen=True, kw_only=True):
    """A run's plain files are complete. `folder` and `files` are relative to `artifacts/`."""

    folder: str
    files: list[str]


class Project(Struct, frozen=True, kw_only=True):
    """Make the plain files of `run` again from the log; null: of every run."""

    run: Name | None = None


class Folders(Struct, frozen=True, kw_only=True):
    """Folders below `artifacts/`."""

    folders: list[str]


class RecorderStatus(Struct, frozen=True, kw_only=True):
    """What the recorder has on disk. `size` is the log's bytes, `recorded` counts events by topic since it started:
    commands and replies together, and under `other` what comes after 256 topics. `lost` counts, likewise, events that were
    published and cannot be recorded any more: on LATEST topics those that found no room, on durable ones those of a `recorder.gap`.

    `held` counts events that wait for missing ones before them, `streams` the publishers that have not said goodbye.
    """

    state: str
    reason: str | None
    recorded: dict[str, int]
    lost: dict[str, int] = {}
    held: int
    streams: int
    segments: int
    size: int


ARTIFACT = Topic("artifact.created", Artifact)
REMOVED = Topic("artifact.removed", Removed)
GAP = Topic("recorder.gap", Gap)
PROJECTED = Topic("recorder.projected", Projected)

STATUS = Command("recorder.status", Nothing, RecorderStatus)
PROJECT = Command("recorder.project", Project, Folders)
