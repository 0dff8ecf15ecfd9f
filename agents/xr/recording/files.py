"""The files of a recording: a trajectory that can be played again, and a picture of it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from agents.parts.links import keep
from agents.xr.recording.plot_process import draw
from agents.xr.recording.poses import SECOND, Poses
from schemas import system, xr

FOLDER = "wondercraft/xr_overlay"
"""Below `artifacts/`."""
RECORDINGS, PLOT = f"{FOLDER}/recordings", f"{FOLDER}/trajectory.png"
FEWEST = 2
"""Poses of a trajectory."""


class Kept(Struct, frozen=True, kw_only=True):
    """What there is to say of a recording, and of the files that it left."""

    recorded: xr.Recorded
    artifacts: list[system.Artifact] = []


def finish(artifacts: Path, poses: Poses, cancelled: threading.Event) -> Kept:
    """Write what was recorded, and a picture of it, unless that is `cancelled`. Not for an event loop: drawing takes seconds.

    Raises OSError.
    """
    device = poses.asked.device
    if poses.count < FEWEST:
        reason = f"{poses.count} poses of {device} came in {poses.asked.seconds:g} s: is it tracked?"
        return Kept(recorded=xr.Recorded(device=device, poses=poses.count, seconds=poses.seconds, reason=reason))
    path = f"{RECORDINGS}/{_name(poses)}.tum"
    trajectory = _write(artifacts, path, poses.tum())
    undrawn = draw(artifacts / path, _new(artifacts / PLOT), cancelled)
    recorded = xr.Recorded(
        device=device, poses=poses.count, seconds=poses.seconds, path=path, plot=None if undrawn else PLOT, reason=undrawn
    )
    return Kept(recorded=recorded, artifacts=[trajectory] if undrawn else [trajectory, _keep_plot(artifacts, trajectory)])


def _name(poses: Poses) -> str:
    began = datetime.fromtimestamp(poses.began / SECOND, UTC)
    return f"{poses.asked.device.replace('.', '-')}-{began:%Y%m%dT%H%M%S.%fZ}"


def _write(artifacts: Path, path: str, content: bytes) -> system.Artifact:
    file = artifacts / path
    file.parent.mkdir(parents=True, exist_ok=True)
    _new(file).write_bytes(content)
    return _keep(artifacts, file, "trajectory")


def _new(file: Path) -> Path:
    """Where it is made: the path itself may lead into the store, to one before, which stays as it is."""
    return file.with_name(f".new-{file.name}")


def _keep(artifacts: Path, file: Path, kind: str) -> system.Artifact:
    _new(file).replace(file)
    return keep(artifacts, file, kind)


def _keep_plot(artifacts: Path, trajectory: system.Artifact) -> system.Artifact:
    return msgspec.structs.replace(_keep(artifacts, artifacts / PLOT, "trajectory-plot"), parents=[trajectory.hash])
