"""What the tests of the kernels share: both implementations of the operations, and a comparison of values and gradients."""

from collections.abc import Callable, Sequence

import compiled  # before tinygrad, which reads its environment when it is imported
import numpy as np
import pytest
from numpy.typing import NDArray
from tinygrad.tensor import Tensor

from agents.parts.operations import Operations, plain
from agents.trainer.kernels import implementation

if compiled.DEVICE != "CPU":
    pytest.skip("the kernels are for tinygrad's CPU device", allow_module_level=True)

Expression = Callable[..., Tensor]
"""From operations and leaves to a result."""

KERNELS = implementation(threads=2).operations
PLAIN = plain()


def leaf(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    """Normal numbers, realised."""
    values = np.random.default_rng([seed, *shape]).standard_normal(shape) * scale
    return Tensor(np.asarray(values, np.float32)).realize()


def evaluated(operations: Operations, expression: Expression, leaves: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """The result, and the gradient of each leaf under random weights of the result."""
    for each in leaves:
        each.grad = None
    result = expression(operations, *leaves)
    weights = leaf(*map(int, result.shape), seed=99)
    (result * weights).sum().backward()
    gradients = [each.grad for each in leaves if each.grad is not None]
    assert len(gradients) == len(leaves)
    result.realize(*gradients)
    return [each.numpy() for each in (result, *gradients)]


def assert_agree(expression: Expression, *leaves: Tensor, tolerance: float = 1e-5) -> None:
    """The kernels' result and gradients are those of plain tinygrad, relative to the largest number of each."""
    found, expected = (evaluated(operations, expression, leaves) for operations in (KERNELS, PLAIN))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(float(np.abs(theirs).max()), 0.1))
