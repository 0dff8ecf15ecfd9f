"""How long an export may take. Another thread may shorten it: an agent that ends cannot wait for one."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass


class GivenUp(RuntimeError):
    """There was no more time for an export."""


@dataclass(slots=True)
class Patience:
    """`drawing` seconds are for the picture of the figures; at `end`, by `time.monotonic`, all is given up that is not in its place."""

    drawing: float
    end: float = math.inf

    def shorten(self, end: float) -> None:
        """Do without the picture, and be done by then."""
        self.drawing, self.end = 0.0, end

    def check(self) -> None:
        """Raises GivenUp."""
        if time.monotonic() >= self.end:
            raise GivenUp("no time")
