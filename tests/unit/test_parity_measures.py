"""The figures of parity are what their formulas say, and unknown where numbers are none."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from agents.exporter.parity.measures import UNKNOWN, Divergence, Nats, change, divergence, margins, nats, same_rows
from agents.parts.targets import IGNORED

Floats = NDArray[np.float32]

SHAPE = (2, 3, 5)
"""Rows, positions, vocabulary."""


@st.composite
def logits(draw: st.DrawFn) -> Floats:
    values = draw(st.lists(st.floats(-30, 30, width=32), min_size=30, max_size=30))
    return np.array(values, np.float32).reshape(SHAPE)


def apart(ours: Floats, theirs: Floats) -> Divergence:
    return divergence(zip(ours, theirs, strict=True))


def shares(position: Sequence[float]) -> list[float]:
    """The softmax, as a textbook has it."""
    powers = [math.exp(value) for value in position]
    return [power / math.fsum(powers) for power in powers]


@given(logits(), logits())
def test_every_figure_is_what_its_formula_says(ours: Floats, theirs: Floats) -> None:
    positions = list(zip(ours.reshape(-1, 5).tolist(), theirs.reshape(-1, 5).tolist(), strict=True))
    differences = [abs(a - b) for one, other in positions for a, b in zip(one, other, strict=True)]
    kls = [math.fsum(q * math.log(q / p) for p, q in zip(shares(one), shares(other), strict=True) if q > 0) for one, other in positions]
    chosen = [one.index(max(one)) == other.index(max(other)) for one, other in positions]

    found = apart(ours, theirs)

    assert found.max_abs == max(differences)
    assert found.mean_abs == pytest.approx(math.fsum(differences) / len(differences), rel=1e-12)
    assert found.kl == pytest.approx(math.fsum(kls) / len(kls), rel=1e-9, abs=1e-12)
    assert found.top1 == pytest.approx(sum(chosen) / len(chosen))


@given(logits())
def test_logits_do_not_diverge_from_themselves(ours: Floats) -> None:
    assert apart(ours, ours) == Divergence(max_abs=0.0, mean_abs=0.0, kl=0.0, top1=1.0)


@given(logits(), st.integers(-8, 8))
def test_a_number_added_to_all_logits_of_a_position_changes_no_choice_and_no_share(ours: Floats, more: int) -> None:
    theirs = np.round(8 * ours) / 8  # so that no digit is lost

    found = apart(theirs + np.float32(more), theirs)

    assert found.top1 == 1.0 and found.kl == pytest.approx(0.0, abs=1e-12)
    assert found.max_abs == abs(more)


def test_rows_count_by_their_positions() -> None:
    long, short = (np.zeros((3, 2), np.float32), np.ones((3, 2), np.float32)), (np.zeros((1, 2), np.float32),) * 2

    assert divergence([long, short]).mean_abs == pytest.approx(3 / 4)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_one_number_that_is_none_leaves_nothing_known(number: float, side: int) -> None:
    pair = np.zeros((2, *SHAPE), np.float32)
    pair[side, 1, 2, 3] = number

    assert apart(*pair) == UNKNOWN


def test_logits_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="the reference's have"):
        apart(np.zeros((2, 3, 5), np.float32), np.zeros((2, 4, 5), np.float32))


@given(logits(), st.lists(st.sampled_from([IGNORED, 0, 1, 4]), min_size=6, max_size=6))
def test_the_cross_entropy_counts_each_target_but_those_ignored(given_logits: Floats, targets: list[int]) -> None:
    positions = zip(given_logits.reshape(-1, 5).tolist(), targets, strict=True)
    expected = [-math.log(shares(position)[target]) for position, target in positions if target != IGNORED]

    found = nats(given_logits, np.array(targets, np.int32).reshape(2, 3))

    assert found.targets == len(expected)
    assert found.total == pytest.approx(math.fsum(expected), rel=1e-9, abs=1e-9)


def test_who_knows_nothing_is_as_perplexed_as_there_are_tokens() -> None:
    assert nats(np.zeros((2, 3, 50), np.float32), np.zeros((2, 3), np.int32)).perplexity == pytest.approx(50)


@pytest.mark.parametrize("found", [Nats(), Nats(math.nan, 3), Nats(math.inf, 3), Nats(1e6, 3)])
def test_a_perplexity_that_is_no_finite_number_is_unknown(found: Nats) -> None:
    assert found.perplexity is None
    assert change(found.perplexity, 2.0) is None and change(2.0, found.perplexity) is None


def test_a_change_is_relative_to_the_reference() -> None:
    assert change(3.0, 2.0) == pytest.approx(0.5)


TOKENS = np.zeros((4, 5), np.int32)


@pytest.mark.parametrize(
    ("parted", "near", "share"),
    [
        ([], [], 1.0),
        ([4], [], 0.75),
        ([4], [4], 1.0),
        ([2, 3, 4], [2], 1.0),  # behind a tie stands another text
        ([2, 3, 4], [3, 4], 0.75),
        ([2, 3, 4], [1], 0.75),
    ],
)
def test_a_row_may_part_from_the_reference_s_at_a_tie_and_nowhere_else(parted: list[int], near: list[int], share: float) -> None:
    other, above = TOKENS.copy(), np.ones(TOKENS.shape, np.float32)
    other[2, parted], above[2, near] = 1, 0.001

    assert same_rows(other, TOKENS, above, tie=0.002) == share


def test_a_margin_that_is_no_number_is_no_tie() -> None:
    assert same_rows(TOKENS + 1, TOKENS, np.full(TOKENS.shape, np.nan, np.float32), tie=0.002) == 0.0


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="the reference's have"):
        same_rows(TOKENS[:, :1], TOKENS, np.ones(TOKENS.shape, np.float32), tie=0.002)


@given(logits())
def test_a_margin_is_what_the_likeliest_is_above_the_next(given_logits: Floats) -> None:
    highest = np.sort(given_logits, axis=-1)

    np.testing.assert_array_equal(margins(given_logits), highest[..., -1] - highest[..., -2])
