"""The C files beside these modules."""

from __future__ import annotations

import functools
from pathlib import Path


@functools.cache
def text_of(file: str) -> str:
    """The text of a C file of this folder."""
    return (Path(__file__).parent / file).read_text(encoding="utf-8")
