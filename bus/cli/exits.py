"""The one place that says which error ends a verb with which exit code."""

from __future__ import annotations

from bus.errors import BusError, BusTimeout, CommandRefused, LockHeld, NoHub

FAILED = 1
USAGE = 2
TIMED_OUT = 3
REFUSED = 4
NO_HUB = 5
LOCKED = 75
INTERRUPTED = 130


class Mistyped(BusError):
    """What was typed names nothing, or is not what a topic or command takes; the message says what comes close."""


_CODES: dict[type[Exception], int] = {Mistyped: USAGE, BusTimeout: TIMED_OUT, CommandRefused: REFUSED, NoHub: NO_HUB, LockHeld: LOCKED}


def exit_code(error: Exception) -> int:
    """1 for everything that has no code of its own."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), FAILED)


def explain(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, CommandRefused):
        return f"refused ({error.code}): {error.message}"
    return str(error) or type(error).__name__
