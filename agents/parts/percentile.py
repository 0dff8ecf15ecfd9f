"""The one percentile of measured times: by nearest rank, so that it is one of them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed. `ordered` is sorted, and has one at least."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]
