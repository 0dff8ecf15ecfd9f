"""Takes the scene as the bridge knows it, and puts what is written of it into the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.parts.links import keep
from agents.ue5.connection.session import Session
from agents.ue5.exports.patience import GivenUp, Patience
from agents.ue5.exports.snapshot import MetricsRow, Snapshot, Unexportable
from agents.ue5.exports.writing import export
from bus.agent import Publish
from bus.topic import ArtifactPath
from schemas import system, ue5

EXPORTS = "wondercraft/exports"
SHOTS = "wondercraft/bridge/shots"
PROJECT = "wondercraft/unreal"
"""Folders below `artifacts/`."""
MOST_AT_END = 2000
"""Actors of a scene that an agent which ends still exports: about a second's work."""
LAST_DRAWING = 0.9
"""Seconds that the picture of such an export may take: enough on a machine that has nothing else to do."""
NO_TIME = "no time"
LETTING_GO = 0.3
"""Seconds for an export to see that its time is up: it looks between two files."""


@dataclass(slots=True)
class Wanted:
    """An export that somebody waits for."""

    taken: Snapshot
    patience: Patience
    said: asyncio.Future[ue5.Exported]


class Exporter:
    """Exports scenes, one at a time. Who stops waiting for one stops none."""

    def __init__(self, publish: Publish, artifacts: Path) -> None:
        self._publish = publish
        self._artifacts = artifacts
        self._running: Wanted | None = None
        self._next: Wanted | None = None
        self._work: asyncio.Task[None] | None = None

    async def export(self, taken: Snapshot, drawing: float) -> ue5.Exported:
        """Write the scene as files and say so, or why not. The picture of the figures may take `drawing` seconds, else there is none.

        At most one export waits for a running one: that of the newest scene, and all who wait hear of that.
        """
        return await asyncio.shield(self._want(taken, Patience(drawing)).said)

    async def finish(self, last: Snapshot | None, seconds: float) -> None:
        """Let what runs end within so many seconds, without its picture, and `last` after it; say what there was no time for."""
        end = time.monotonic() + seconds
        for wanted in (self._running, self._next):
            if wanted is not None:
                wanted.patience.shorten(end)
        if last is not None and len(last.actors) > MOST_AT_END:
            self._publish(ue5.EXPORTED, _unwritten(last, NO_TIME))
        elif last is not None:
            self._want(last, Patience(LAST_DRAWING, end))
        if self._work is not None:
            await self._end(self._work, seconds + LETTING_GO)

    async def _end(self, work: asyncio.Task[None], seconds: float) -> None:
        await asyncio.wait({work}, timeout=seconds)
        if not work.done():
            work.cancel()
            for wanted in (self._running, self._next):
                if wanted is not None:
                    self._publish(ue5.EXPORTED, _unwritten(wanted.taken, NO_TIME))

    def _want(self, taken: Snapshot, patience: Patience) -> Wanted:
        said = asyncio.get_running_loop().create_future() if self._next is None else self._next.said
        self._next = Wanted(taken, patience, said)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._run())
        return self._next

    async def _run(self) -> None:
        while self._next is not None:
            self._running, self._next = self._next, None
            try:
                self._running.said.set_result(await self._save(self._running))
            except Exception as error:  # who waits for it is to hear of it, and the next export goes on
                self._running.said.set_exception(error)
            self._running = None

    async def _save(self, wanted: Wanted) -> ue5.Exported:
        taken = wanted.taken
        try:
            files = await asyncio.to_thread(save, taken, self._artifacts, wanted.patience, self._announce)
            exported = ue5.Exported(engine=taken.engine, actors=len(taken.actors), files=files)
        except GivenUp:
            exported = _unwritten(taken, NO_TIME)
        except (Unexportable, OSError) as error:
            exported = _unwritten(taken, str(error))
        self._publish(ue5.EXPORTED, exported)
        return exported

    def _announce(self, artifact: system.Artifact) -> None:
        self._publish(system.ARTIFACT, artifact)


def snapshot(session: Session, metrics: list[MetricsRow], settings: dict[str, str]) -> Snapshot:
    """The scene as it was last read, with what was moved since, and the figures of its session."""
    known = list(session.roster)
    return Snapshot(
        engine=session.engine,
        actors=[each.actor for each in known],
        bounds={each.path: (each.centre, each.extent) for each in known if each.centre is not None and each.extent is not None},
        cameras={each.path: each.field_of_view for each in known if each.field_of_view is not None},
        metrics=metrics,
        settings={**settings, "transport": session.wire.transport, "http": session.address.http_url},
    )


def save(taken: Snapshot, artifacts: Path, patience: Patience, announce: Callable[[system.Artifact], object]) -> list[ArtifactPath]:
    """Write an export, keep each file, and announce each at once: whatever ends this, nothing is in the store that nobody told of.

    Returns the files, relative to `artifacts`. Takes seconds: off the event loop. Raises Unexportable, GivenUp, OSError.
    """
    files = export(taken, artifacts / EXPORTS, patience)
    for file in files:
        patience.check()
        announce(keep(artifacts, file, "scene-export"))
    return [file.relative_to(artifacts).as_posix() for file in files]


def _unwritten(taken: Snapshot, reason: str) -> ue5.Exported:
    return ue5.Exported(engine=taken.engine, actors=len(taken.actors), files=[], reason=reason)
