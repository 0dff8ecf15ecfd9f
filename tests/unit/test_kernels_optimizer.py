"""The optimiser's kernels do what the update in plain tinygrad does."""

from collections.abc import Sequence

import numpy as np
import pytest
from compiled import hyperparameters
from kernels import leaf
from numpy.typing import NDArray
from tinygrad.tensor import Tensor

from agents.trainer.kernels import implementation
from agents.trainer.optimizer import Moments, Update, update

KERNELS = implementation(2).update


def stepped(chosen: Update, shapes: Sequence[tuple[int, ...]], size: float) -> list[NDArray[np.float32]]:
    """The norm, and all weights, means and squares, after a step with gradients of that size."""
    moments = [
        Moments(
            weight=leaf(*shape, seed=index), mean=leaf(*shape, seed=index + 100), square=(leaf(*shape, seed=index + 200) ** 2).realize()
        )
        for index, shape in enumerate(shapes)
    ]
    gradients = [leaf(*shape, seed=index + 300, scale=size) for index, shape in enumerate(shapes)]
    norm, changed = chosen(moments, gradients, Tensor([0.1, 0.3, 0.2]).realize(), hyperparameters())
    norm.realize(*changed)
    return [norm.numpy(), *(each.numpy() for moment in moments for each in (moment.weight, moment.mean, moment.square))]


@pytest.mark.parametrize("size", [3.0, 1e-3])
def test_weights_and_moments_change_in_place_as_in_plain_tinygrad(size: float) -> None:
    shapes = [(3, 5), (7,), (1,), (130, 131)]

    for ours, theirs in zip(stepped(KERNELS, shapes, size), stepped(update, shapes, size), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_more_weights_than_a_kernel_has_arguments_for() -> None:
    shapes = [(2, 3)] * 60

    found = stepped(KERNELS, shapes, 1.0)

    expected = np.sqrt(sum(float((leaf(2, 3, seed=index + 300).numpy() ** 2).sum()) for index in range(60)))
    assert found[0] == pytest.approx(expected, rel=1e-6)
    single = stepped(KERNELS, shapes[:1], 1.0)
    assert not np.array_equal(found[1], single[1]), "clipped by another norm"
    assert len(np.unique([each[0, 0] for each in found[2::3]])) == 60


def test_a_step_repeats_itself_to_the_last_bit_on_any_number_of_threads() -> None:
    runs = [[each.tobytes() for each in stepped(implementation(threads).update, [(300, 301), (9,)], 1.0)] for threads in (1, 2, 5, 2)]

    assert all(run == runs[0] for run in runs)
