"""Secrets that a setting names a file for, so that they stand in no process list and no manifest."""

from __future__ import annotations

from pathlib import Path

from agents.parts.bounded import Unreadable, read_bounded
from bus.settings import BadSettings

SECRET_BYTES = 4096
"""Of the file, at most."""


def read_secret(setting: str, path: Path) -> str:
    """What the file says, without white space around it. Raises BadSettings, which names the setting."""
    try:
        secret = read_bounded(path, SECRET_BYTES).decode("ascii").strip()
    except (Unreadable, UnicodeDecodeError) as error:
        raise BadSettings(f"{setting}: {error}") from error
    if not secret:
        raise BadSettings(f"{setting}: {path} is empty")
    return secret
