"""The files of the page, as they lie beside this package."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response

FOLDER = Path(__file__).parent.parent / "page"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z]+)", re.ASCII)
_MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def page_file(name: str) -> Response:
    """One of them. Raises HTTPException where there is none: a name has no slash, so nothing else is reached."""
    parts = _NAME.fullmatch(name)
    path = FOLDER / name
    if parts is None or parts[1] not in _MEDIA_TYPES or not path.is_file():
        raise HTTPException(404, "there is no such file")
    return Response(path.read_bytes(), media_type=_MEDIA_TYPES[parts[1]])
