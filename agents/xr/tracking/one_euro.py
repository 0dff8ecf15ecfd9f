"""The One-Euro filter: little lag where a signal is quick, little noise where it is slow.

Source: Casiez, Roussel and Vogel, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems", CHI 2012.
"""

from __future__ import annotations

import math

from msgspec import Struct

from agents.parts.frames import Vector
from agents.parts.rigid import added, scaled


class Cutoffs(Struct, frozen=True, kw_only=True):
    """`least` is the cutoff of a signal that rests, in Hz; `slope` what is added for each unit a second that it changes by.

    `change` is the cutoff of that change itself, in Hz.
    """

    least: float
    slope: float
    change: float = 1.0


class OneEuro:
    """Filters a vector, all of its axes by one cutoff, so that it does not matter how they lie."""

    def __init__(self, cutoffs: Cutoffs) -> None:
        self._cutoffs = cutoffs
        self._value: Vector | None = None
        self._change: Vector = (0.0, 0.0, 0.0)

    def filter(self, value: Vector, seconds: float) -> Vector:
        """The value without its noise; `seconds`, above 0, have gone by since the one before. The first is taken as it is."""
        if self._value is None:
            self._value = value
            return value
        change = scaled(added(value, scaled(self._value, -1)), 1 / seconds)
        self._change = _towards(self._change, change, smoothing(self._cutoffs.change, seconds))
        cutoff = self._cutoffs.least + self._cutoffs.slope * math.hypot(*self._change)
        self._value = _towards(self._value, value, smoothing(cutoff, seconds))
        return self._value


def smoothing(cutoff: float, seconds: float) -> float:
    """The share of a new value in a low-pass filter of first order: 1 / (1 + tau / Te), tau = 1 / (2 pi cutoff)."""
    turns = 2 * math.pi * cutoff * seconds
    return turns / (turns + 1)


def _towards(old: Vector, new: Vector, share: float) -> Vector:
    return added(scaled(old, 1 - share), scaled(new, share))
