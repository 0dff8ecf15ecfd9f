"""The names of what lies below `artifacts/train/models/`; placing.py makes and changes it."""

from __future__ import annotations

from pathlib import Path

FOLDER = "train/models"
"""Below `artifacts/`."""
EXPORTS = "exports"
"""In it: a folder for each export, `<recipe>-<export>`, with a number behind it where the same was exported again."""
MODEL, MANIFEST = "model.onnx", "export.json"
"""In an export: the decoder, and the list of its files."""
EMBEDDING, ENCODER = "embed_tokens.onnx", "vision_encoder.onnx"
"""In that of a model that sees, whose decoder reads no tokens."""
_TOLD = ".told"
"""In an export: its events are in the log. One without it was put in place by a process that was killed before it could say so."""


def is_in_place(artifacts: Path, recipe: str, export: str) -> bool:
    """Whether this export is there already, and the log knows of it."""
    exports, name = artifacts / FOLDER / EXPORTS, f"{recipe}-{export}"
    return any((folder / _TOLD).exists() for folder in (exports / name, *exports.glob(f"{name}.*")))


def mark_told(artifacts: Path, folder: str) -> None:
    """The log has all events of the export in `folder`. Raises OSError."""
    (artifacts / folder / _TOLD).touch()
