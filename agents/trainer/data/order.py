"""The order in which a run sees its rows: a permutation for each epoch that is computed, not kept, so that any place can be asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]

ROUNDS = 6


def rows_at(positions: Places, rows: int, seed: int) -> Places:
    """Which of `rows` rows stands at each position of an endless run that goes through all of them once an epoch, each time anew.

    It depends on the seed and the position alone. Raises ValueError where there are no rows.
    """
    if rows < 1:
        raise ValueError(f"{rows} rows cannot be put in order")
    epochs, places = np.divmod(positions, rows)
    found = np.empty_like(places)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        found[here] = permuted(places[here], rows, seed, int(epoch))
    return found


def permuted(places: Places, size: int, seed: int, epoch: int) -> Places:
    """Where a pseudo-random permutation of range(size) puts `places`.

    A balanced Feistel network over the next power of four, walked until it comes back below `size` (Black and Rogaway 2002, "Ciphers
    with Arbitrary Finite Domains"); round keys by numpy's SeedSequence, the mixing of SplitMix64.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    # (seed, 1): not the stream that draws the weights
    keys = np.random.SeedSequence((seed, 1, epoch)).generate_state(ROUNDS, np.uint64).astype(np.uint64)
    found = _network(places.astype(np.uint64), half, keys)
    while (outside := found >= size).any():
        found[outside] = _network(found[outside], half, keys)
    return found.astype(np.int64)


def _network(values: NDArray[np.uint64], half: int, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> bits, values & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right + key) & mask)
    return (left << bits) | right


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), modulo 2^64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
