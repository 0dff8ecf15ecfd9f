"""The key that cookies are signed by: kept, so that who was paired stays so when the agent is started anew."""

from __future__ import annotations

import secrets
from pathlib import Path

from agents.xr.door.pairing import KEY_BYTES
from agents.xr.door.private import NotPrivate, read_private, write_private

NAME = "pairing.key"


def keep_key(folder: Path) -> bytes:
    """The one in a folder, drawn where there is none. Raises NotPrivate, OSError."""
    key = read_private(folder / NAME, KEY_BYTES)
    if key is not None and len(key) != KEY_BYTES:
        raise NotPrivate(f"{folder / NAME} has {len(key)} bytes, want {KEY_BYTES}: remove it, and pair anew")
    return draw_key(folder) if key is None else key


def draw_key(folder: Path) -> bytes:
    """Another one. Raises OSError."""
    key = secrets.token_bytes(KEY_BYTES)
    write_private(folder / NAME, key)
    return key
