"""A sample of what a run holds out, as one safetensors file: by it others measure the model, who have neither the data nor the trainer.

The arrays of a batch stand by their place, as "0", "1", …: tokens and the token that follows each, behind pictures where the model
sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.parts import safetensors
from agents.parts.safetensors import BadSafetensors
from agents.parts.targets import IGNORED

ROWS_LIMIT = 64
SIZE_LIMIT = 8 << 20
"""Bytes of a whole file."""
_HEADER = 4096
"""Bytes of it that are left for what is no example; three arrays need 300."""

Arrays = tuple[NDArray[Any], ...]  # Any: int32, and uint8 of pictures


class BadHeldout(ValueError):
    """Bytes that are no sample of held-out examples, or examples that are none of a recipe's; the message says why."""


def write(batches: Iterable[Sequence[NDArray[Any]]]) -> Iterator[bytes | memoryview]:  # Any: as Arrays
    """The file of the first rows of these batches, as many as the limits take, in blocks for `Store.put`.

    The same batches always give the same bytes. Raises ValueError where there is no row, or none that fits.
    """
    arrays = _first_rows(batches)
    return safetensors.blocks({str(place): array for place, array in enumerate(arrays)}, {})


def read(data: bytes, vocabulary: int) -> Arrays:
    """The arrays in their order, read-only: [pictures [rows, size, size, channels],] tokens and targets [rows, length].

    Each token is below `vocabulary`, and so is each target that is not IGNORED. Raises BadHeldout.
    """
    if len(data) > SIZE_LIMIT:
        raise BadHeldout(f"{len(data)} bytes: at most {SIZE_LIMIT} are read")
    try:
        named, _ = safetensors.decode(data)
    except BadSafetensors as error:
        raise BadHeldout(str(error)) from error
    names = [str(place) for place in range(len(named))]
    if len(named) not in (2, 3) or set(names) != named.keys():
        raise BadHeldout(f"it has the arrays {sorted(named)[:4]}: want 0 and 1, behind pictures 0, 1 and 2")
    arrays = tuple(named[name] for name in names)
    _check_shapes(arrays)
    check_tokens(arrays[-2], arrays[-1], vocabulary)
    return arrays


def check_tokens(tokens: NDArray[np.int32], targets: NDArray[np.int32], vocabulary: int) -> None:
    """Refuse, as BadHeldout, what is looked up beside a table of `vocabulary` rows, and examples of which no target counts."""
    counted = targets[targets != IGNORED]
    if not counted.size:
        raise BadHeldout("no target counts: there is nothing to measure")
    for what, array in (("tokens", tokens), ("targets", counted)):
        if array.min() < 0 or array.max() >= vocabulary:
            raise BadHeldout(f"{what} are {array.min()} to {array.max()}: want 0 to {vocabulary - 1}")


def _first_rows(batches: Iterable[Sequence[NDArray[Any]]]) -> Arrays:
    """Takes no more batches than it needs."""
    taken: list[Sequence[NDArray[Any]]] = []
    count, most = 0, ROWS_LIMIT
    for batch in batches:
        most = min(ROWS_LIMIT, (SIZE_LIMIT - _HEADER) // sum(array[0].nbytes for array in batch))
        taken.append(batch)
        count += len(batch[0])
        if count >= most:
            break
    if not min(count, most):
        raise ValueError(f"{count} held-out rows, of which {most} fit into {SIZE_LIMIT} bytes: a sample needs one")
    return tuple(np.concatenate(parts)[:most] for parts in zip(*taken, strict=True))


def _check_shapes(arrays: Arrays) -> None:
    *pictures, tokens, targets = arrays
    if any(array.dtype != np.int32 or array.ndim != 2 for array in (tokens, targets)) or tokens.shape != targets.shape:
        raise BadHeldout(f"tokens are {_shown(tokens)} and targets {_shown(targets)}: want int32 [rows, length] of one shape")
    if any(array.dtype != np.uint8 or array.ndim != 4 or len(array) != len(tokens) for array in pictures):
        raise BadHeldout(f"pictures are {_shown(pictures[0])}: want uint8 [{len(tokens)}, size, size, channels]")
    if len(tokens) > ROWS_LIMIT:
        raise BadHeldout(f"{len(tokens)} rows: at most {ROWS_LIMIT} are read")


def _shown(array: NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"
