"""What the Petals peer did, and who asked it: artifacts/petals/audit.jsonl. Who asked is only this user's to read."""

from __future__ import annotations

from pathlib import Path

from agents.recorder.entries import by_name
from agents.recorder.journal import BATCH, FULL, Journal
from schemas import petals

TOPICS = by_name(
    petals.REQUEST,
    petals.GENERATION,
    petals.FALLBACK,
    petals.JOINED,
    petals.LEFT,
    petals.HEALTH,
    petals.POLICY,
    petals.SERVING,
)
FOLDER, NAME, OLDER = "petals", "audit.jsonl", "audit.1.jsonl"


def audit(artifacts: Path) -> Journal:
    return Journal(artifacts / FOLDER / NAME, TOPICS, full=FULL, batch=BATCH, mode=0o600)
