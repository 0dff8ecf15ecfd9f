"""Takes the scene as the bridge knows it, and puts what is written of it into the store."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path

from msgspec import Struct

from agents.parts.links import keep
from agents.ue5.exports.snapshot import MetricsRow, Snapshot, Unexportable
from agents.ue5.exports.writing import export
from agents.ue5.session import Session
from bus.agent import Publish
from bus.topic import ArtifactPath
from schemas import scene, system, ue5

EXPORTS = "wondercraft/exports"
SHOTS = "wondercraft/bridge/shots"
PROJECT = "wondercraft/unreal"
"""Folders below `artifacts/`."""
HISTORY = 3600
"""Seconds of which an export has figures."""


class Saved(Struct, frozen=True):
    """The files of an export, relative to `artifacts/`, and their copies in the store."""

    files: list[ArtifactPath]
    artifacts: list[system.Artifact]


class Exporter:
    """Exports what a session shows, one export at a time. `settings` are said in each."""

    def __init__(self, publish: Publish, artifacts: Path, settings: dict[str, str]) -> None:
        self._publish = publish
        self._artifacts = artifacts
        self._settings = settings
        self._metrics: deque[MetricsRow] = deque(maxlen=HISTORY)
        self._turn = asyncio.Lock()

    def note(self, frame: scene.Frame | None, latency: ue5.Latency, time_ns: int) -> None:
        """Keep a second's figures."""
        row = MetricsRow(
            time_ns=time_ns,
            rate=None if frame is None else frame.rate,
            frame_time=None if frame is None else frame.frame_time,
            round_trip_p50=latency.round_trip_p50,
            round_trip_p99=latency.round_trip_p99,
        )
        self._metrics.append(row)

    async def export(self, session: Session, patience: float) -> ue5.Exported:
        """Write the scene as files and say so, or why not. The picture of the figures may take `patience` seconds, else there is none."""
        taken = snapshot(session, list(self._metrics), self._settings)
        async with self._turn:
            exported = await self._save(taken, patience)
        self._publish(ue5.EXPORTED, exported)
        return exported

    async def _save(self, taken: Snapshot, patience: float) -> ue5.Exported:
        try:
            saved = await asyncio.to_thread(save, taken, self._artifacts, patience)
        except (Unexportable, OSError) as error:
            return ue5.Exported(engine=taken.engine, actors=len(taken.actors), files=[], reason=str(error))
        for artifact in saved.artifacts:
            self._publish(system.ARTIFACT, artifact)
        return ue5.Exported(engine=taken.engine, actors=len(taken.actors), files=saved.files)


def snapshot(session: Session, metrics: list[MetricsRow], settings: dict[str, str]) -> Snapshot:
    """The scene as it was last read, with what was moved since."""
    known = list(session.roster)
    return Snapshot(
        engine=session.engine,
        actors=[each.actor for each in known],
        bounds={each.label: (each.centre, each.extent) for each in known if each.centre is not None and each.extent is not None},
        cameras={each.label: each.field_of_view for each in known if each.field_of_view is not None},
        metrics=metrics,
        settings={**settings, "transport": session.wire.transport, "http": session.address.http_url},
    )


def save(taken: Snapshot, artifacts: Path, patience: float) -> Saved:
    """Write an export, and keep each file. Takes seconds: off the event loop. Raises Unexportable, OSError."""
    files = export(taken, artifacts / EXPORTS, patience)
    kept = [keep(artifacts, file, "scene-export") for file in files]
    return Saved([file.relative_to(artifacts).as_posix() for file in files], kept)
