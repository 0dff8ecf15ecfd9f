"""What the bridge to an engine did and measured, as files below artifacts/wondercraft/. They belong to no run."""

from __future__ import annotations

from pathlib import Path

from agents.recorder.beside import Projected
from agents.recorder.entries import by_name
from agents.recorder.journal import BATCH, FULL, Journal
from agents.recorder.level import LevelFile
from agents.recorder.session import SessionFile
from schemas import engine, scene, ue5

FOLDER = "wondercraft"
METRICS, MESSAGES, SCENES = "bridge/metrics.jsonl", "bridge/messages.jsonl", "scenes"
MEASURED = by_name(scene.FRAME, engine.FRAME, ue5.LATENCY, ue5.LOAD)
SAID = by_name(ue5.CONNECTED, ue5.DISCONNECTED, ue5.CALLED, ue5.PREFLIGHT_DONE, ue5.EXPORTED)


def bridge(artifacts: Path) -> list[Projected]:
    folder = artifacts / FOLDER
    return [
        Journal(folder / METRICS, MEASURED, full=FULL, batch=BATCH),
        Journal(folder / MESSAGES, SAID, full=FULL, batch=BATCH),
        LevelFile(folder / SCENES),
        SessionFile(folder / SCENES),
    ]
