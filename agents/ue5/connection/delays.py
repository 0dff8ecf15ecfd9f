"""How long the bridge waits before it looks for an engine again."""

from __future__ import annotations

from dataclasses import dataclass

FIRST, LAST = 0.2, 5.0
"""Seconds: the first wait, and what the doubled ones grow to."""


@dataclass(slots=True)
class Delays:
    """Growing delays. Pure."""

    failures: int = 0

    def after(self, lived: float) -> float:
        """Seconds to wait after a connection that lived so long, 0: there was none. One that outlived the last delay was sound."""
        self.failures = 1 if lived > LAST else self.failures + 1
        return min(FIRST * 2.0 ** (self.failures - 1), LAST)
