"""The percentile of measured times, judged by numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agents.parts.percentile import percentile


@given(st.lists(st.floats(0, 10), min_size=1), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_the_one_that_numpy_finds_by_nearest_rank(values: list[float], share: float) -> None:
    assert percentile(sorted(values), share) == np.percentile(values, share * 100, method="inverted_cdf")
