"""Fixed paths below `artifacts/` that lead to what is newest, and files that lead to their own copy in the store."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from bus.store import Store
from schemas import system


def point(link: Path, target: Path) -> None:
    """Let `link` lead to `target`, relative to its folder. A reader finds where it led before, or where it leads now."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def keep(artifacts: Path, file: Path, kind: str) -> system.Artifact:
    """Put a file into the store, and let its own path lead there. Returns what to say of it. Raises OSError."""
    stored = Store(artifacts).put(file)
    point(file, Path(os.path.relpath(artifacts / stored.path, file.parent)))
    media_type = mimetypes.guess_type(file.name)[0]
    return system.Artifact(hash=stored.hash, size=stored.size, kind=kind, path=stored.path, media_type=media_type)
