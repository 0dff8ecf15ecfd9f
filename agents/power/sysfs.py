"""Bounded reads of sysfs attributes, live or recorded. What cannot be read says which file, and why."""

from __future__ import annotations

import os
import re
from pathlib import Path

_LONGEST = 64
"""Bytes of an attribute: a 64-bit number needs 20, a name of a zone or chip fewer than the rest."""
_NUMBER = re.compile(r"-?[0-9]{1,20}")


class Unreadable(Exception):
    """A reading that cannot be had; the message names the file or call, and what was wrong."""


class Forbidden(Unreadable):
    """The file is there and this process may not read it."""


class Idle(Unreadable):
    """The sensor works and has nothing to measure now."""


def read_text(path: Path) -> str:
    """The text of one attribute without its newline. Raises Unreadable, also for what is no short printable text."""
    content = _read(path)
    text = content.decode("ascii", "replace").strip()
    if len(content) > _LONGEST or not text.isprintable() or not text.isascii() or not text:
        raise Unreadable(f"{path}: wanted 1 to {_LONGEST} bytes of text, found {content[:24]!r}")
    return text


def read_number(path: Path) -> int:
    """The number that one attribute holds. Raises Unreadable."""
    text = read_text(path)
    if not _NUMBER.fullmatch(text):
        raise Unreadable(f"{path}: wanted a number, found {text[:24]!r}")
    return int(text)


def names(folder: Path) -> list[str]:
    """What lies in `folder`, sorted. Raises Unreadable."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise _unreadable(folder, error) from error


def _read(path: Path) -> bytes:
    try:
        # Not blocking: in a recorded tree anything may lie there, a named pipe too.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(descriptor, _LONGEST + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> Unreadable:
    kind = Forbidden if isinstance(error, PermissionError) else Unreadable
    return kind(f"{path}: {(error.strerror or str(error)).lower()}")
