"""Writes the Unreal project, and never over what somebody has changed in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from agents.parts.bounded import Unreadable, read_bounded
from agents.ue5.project.contents import contents
from bus.log.disk import replace_file

GENERATED = ".generated.json"
"""Which files were written, with their SHA-256: by that a changed one is known."""
LIMIT = 1 << 20
"""Bytes of a file of the project that are looked at; a larger one is not ours."""


def write_project(folder: Path) -> list[str]:
    """Write the project, and return the files by their path in it.

    A file that was changed since it was written stays as it is; what it would be now goes beside it, as `NAME.new`. Raises OSError.
    """
    before, now, written = _generated(folder), contents(), []
    for name, text in now.items():
        written.append(f"{name}.new" if _is_changed(folder / name, before.get(name), text) else name)
        path = folder / written[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode())
    hashes = {name: _hash(text.encode()) for name, text in now.items()}
    replace_file(folder / GENERATED, msgspec.json.encode(hashes))
    return written


def _is_changed(path: Path, before: str | None, text: str) -> bool:
    """Whether the file is neither what was written there, nor what is to be."""
    if not path.exists():
        return False
    try:
        return _hash(read_bounded(path, LIMIT)) not in (before, _hash(text.encode()))
    except Unreadable:
        return True


def _generated(folder: Path) -> dict[str, str]:
    """What was written the last time. Nothing, where that is not known: then every file that differs counts as changed."""
    try:
        return msgspec.json.decode(read_bounded(folder / GENERATED, LIMIT), type=dict[str, str])
    except (Unreadable, msgspec.DecodeError):
        return {}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
