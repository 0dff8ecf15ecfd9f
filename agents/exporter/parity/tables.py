"""How far what an export has in its files is from what it was made of. No program is needed for it, and no text could show all of it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from agents.exporter.parity.backends.onnx_files import Files
from agents.exporter.parity.measures import Floats
from agents.parts.recipes import rotary_angles

BAND = 1 << 22
"""Numbers of a weight that are worked on in float64 at once."""


def worst_rounding(rounded: Mapping[str, Floats], own: Mapping[str, Floats]) -> tuple[str, float | None]:
    """The weight that is farthest from the checkpoint's own, as rounding_error has it. Reads one weight at a time of each."""
    errors = {name: rounding_error(rounded[name], own[name]) for name in own}
    for name, error in errors.items():
        if error is None:
            return name, None
    return max(errors.items(), key=lambda pair: pair[1] or 0.0)


def rounding_error(rounded: Floats, own: Floats) -> float | None:
    """The root mean square of their difference, relative to that of `own`; None where this is no finite number."""
    difference, size = 0.0, 0.0
    ours, theirs = rounded.reshape(-1), own.reshape(-1)
    for start in range(0, own.size, BAND):
        exact = theirs[start : start + BAND].astype(np.float64)
        size += float(exact @ exact)
        exact -= ours[start : start + BAND]
        difference += float(exact @ exact)
    if not difference:
        return 0.0
    relative = math.sqrt(difference / size) if size else math.nan
    return relative if math.isfinite(relative) else None


def rotary_error(files: Files) -> float | None:
    """The largest difference of the decoder's tables of rotation from their formula, at any position; None where they are none."""
    angles = rotary_angles(files.recipe)
    return _largest_difference(files, {"cosines": np.cos(angles), "sines": np.sin(angles)})


def _largest_difference(files: Files, wanted: Mapping[str, NDArray[np.float64]]) -> float | None:
    largest = 0.0
    for name, table in wanted.items():
        try:
            found = files.table(name).astype(np.float64)
        except KeyError:
            return None
        if found.shape != table.shape or not np.isfinite(found).all():
            return None
        largest = max(largest, float(np.abs(found - table).max()))
    return largest
