"""The order of rows is a permutation each epoch, and any place in it can be asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.trainer.data.order import permuted, rows_at


@settings(max_examples=150, deadline=None)
@given(size=st.integers(1, 3000), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 2**40))
def test_an_epoch_sees_each_row_once_whatever_their_number(size: int, seed: int, epoch: int) -> None:
    assert sorted(permuted(np.arange(size), size, seed, epoch)) == list(range(size))


@pytest.mark.parametrize("bits", range(1, 13))
def test_an_epoch_sees_each_row_once_around_powers_of_two(bits: int) -> None:
    for size in (2**bits - 1, 2**bits, 2**bits + 1):
        assert len(set(permuted(np.arange(size), size, 1, 0).tolist())) == size


@settings(max_examples=30, deadline=None)
@given(size=st.integers(2**33, 2**50), place=st.integers(0, 2**33))
def test_more_rows_than_memory_could_list_are_put_in_order_too(size: int, place: int) -> None:
    found = permuted(np.arange(place, place + 100) % size, size, 7, 3)

    assert len(set(found.tolist())) == 100
    assert found.min() >= 0
    assert found.max() < size


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(1, 200), start=st.integers(0, 1000), count=st.integers(1, 300), seed=st.integers(0, 9))
def test_a_place_depends_on_nothing_before_it(rows: int, start: int, count: int, seed: int) -> None:
    through = rows_at(np.arange(start + count), rows, seed)

    np.testing.assert_array_equal(rows_at(np.arange(start, start + count), rows, seed), through[start:])
    assert sorted(through[:rows]) == list(range(min(rows, start + count))) or start + count < rows


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    orders = [tuple(permuted(np.arange(500), 500, seed, epoch)) for seed in range(4) for epoch in range(4)]

    assert len(set(orders)) == 16


def test_the_order_looks_random() -> None:
    """Neighbours are not neighbours any more: few fixed points, and steps between them of all sizes."""
    size = 10_000
    order = permuted(np.arange(size), size, 0, 0)

    assert np.count_nonzero(order == np.arange(size)) < 10
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05
    counts = np.histogram(order[: size // 10], 10, (0, size))[0]  # the first tenth of an epoch comes from everywhere
    assert counts.min() > 60 and counts.max() < 140


def test_no_rows_have_no_order() -> None:
    with pytest.raises(ValueError, match="0 rows"):
        rows_at(np.arange(4), 0, 0)
