"""Which layers stay on disk, and which come: a decision about numbers, apart from files.

A use of a layer is a token that went through it, and counts half after each HALF_LIFE: yesterday's model makes room for today's. All
counts shrink alike, so that time alone changes no order. A layer that is there stays until another one has STAYING times its uses: two
models that are used in turn do not push each other out each time, since a layer that comes is copied whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HALF_LIFE = 12 * 3600.0
"""Seconds."""
STAYING = 2.0
MOST = 4096
"""Layers in the cache, however small they are."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layer of the model `prefix`, whose file has `size` bytes: one that is `kept`, or one that could be brought in."""

    prefix: str
    layer: int
    size: int
    uses: float
    kept: bool


def decayed(uses: float, seconds: float) -> float:
    """What is left of uses that were counted so many seconds ago."""
    return float(uses * 0.5 ** (max(0.0, seconds) / HALF_LIFE))


def choose(candidates: Sequence[Candidate], limit: int) -> tuple[list[Candidate], list[Candidate]]:
    """Those that are to be there, the most used first, and those that are there and must go, the least used first.

    They are MOST at most and fit in `limit` bytes together; one is left out only where it does not fit beside those before it. Layers
    that nobody uses stay while there is room, and are never brought in. Of equals comes first what is there, then by name and number.
    """
    keep: list[Candidate] = []
    evict: list[Candidate] = []
    room = limit
    for each in sorted((each for each in candidates if each.kept or each.uses > 0), key=_rank):
        if each.size <= room and len(keep) < MOST:
            keep.append(each)
            room -= each.size
        elif each.kept:
            evict.append(each)
    return keep, evict[::-1]


def _rank(each: Candidate) -> tuple[float, bool, str, int]:
    weight = each.uses * STAYING if each.kept else each.uses
    return -weight, not each.kept, each.prefix, each.layer
