"""A small JSON file for people and programs: indented, and whole or as it was before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bus.log.disk import replace_file


def write_json(path: Path, content: Any) -> None:  # Any: what msgspec encodes
    """Give `path` this content. Its folder is made. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
