"""Where devices were, and how late that came, as files below artifacts/wondercraft/xr_overlay/. They belong to no run."""

from __future__ import annotations

from pathlib import Path

from agents.recorder.beside import Projected
from agents.recorder.entries import by_name
from agents.recorder.journal import BATCH, FULL, Journal
from agents.recorder.latency import LatencyFile
from schemas import xr

FOLDER = "wondercraft/xr_overlay"
POSES = "poses.jsonl"
SAID = by_name(
    xr.HEAD,
    xr.HAND_LEFT,
    xr.HAND_RIGHT,
    xr.CONTROLLER_LEFT,
    xr.CONTROLLER_RIGHT,
    xr.STARTED,
    xr.ENDED,
    xr.LOST,
    xr.FOUND,
)


def overlay(artifacts: Path) -> list[Projected]:
    folder = artifacts / FOLDER
    return [Journal(folder / POSES, SAID, full=FULL, batch=BATCH), LatencyFile(folder)]
