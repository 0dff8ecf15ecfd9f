"""An input is filled anew without tinygrad noticing."""

import compiled
import numpy as np
import pytest
from tinygrad.dtype import dtypes
from tinygrad.engine.jit import TinyJit

from agents.trainer.inputs import Input


def test_a_compiled_function_sees_what_its_input_was_filled_with_last() -> None:
    given = Input((2, 3), dtypes.int32)
    doubled = TinyJit(lambda tensor: (tensor * 2).realize())

    for value in range(4):
        values = np.arange(6, dtype=np.int32).reshape(2, 3) + value
        np.testing.assert_array_equal(doubled(given.filled(values)).numpy(), values * 2)


def test_values_of_another_size_are_refused() -> None:
    assert compiled.DEVICE
    with pytest.raises(AssertionError, match="copy size mismatch, 24 != 20"):
        Input((2, 3), dtypes.int32).filled(np.zeros(5, np.int32))
