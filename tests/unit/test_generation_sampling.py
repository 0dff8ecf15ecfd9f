"""A token is drawn as temperature and top_p say, whatever the logits are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from agents.parts.external_data import BadModel
from agents.parts.generation.errors import BadRequest
from agents.parts.generation.sampling import Sampling, nucleus, softmax
from agents.trainer import sampling as trainer

LOGITS = arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(-80, 80, width=32))
TEMPERATURES = st.floats(1e-300, 1e300)
SHARES = st.floats(0, 1)
SEEDS = st.integers(0, 2**32)


@given(LOGITS, SEEDS)
def test_temperature_zero_takes_the_first_of_the_likeliest(logits: NDArray[np.float32], seed: int) -> None:
    assert Sampling(temperature=0).draw(logits, np.random.default_rng(seed)) == logits.argmax()


@given(LOGITS, TEMPERATURES)
def test_shares_are_a_distribution_in_the_order_of_the_logits(logits: NDArray[np.float32], temperature: float) -> None:
    shares = softmax(logits, temperature)

    assert shares.sum() == pytest.approx(1)
    assert (np.diff(shares[np.argsort(logits, kind="stable")]) >= 0).all()


@given(LOGITS, SHARES)
def test_a_nucleus_is_the_fewest_tokens_that_reach_top_p(logits: NDArray[np.float32], top_p: float) -> None:
    shares = softmax(logits, 1.0)

    kept = nucleus(shares, top_p)

    inside = kept > 0
    reached, least = shares[inside].sum(), shares[inside].min()
    assert reached >= top_p - 1e-9
    assert inside.sum() == 1 or reached - least < top_p + 1e-9
    assert (shares[~inside] <= least).all()
    np.testing.assert_allclose(kept[inside], shares[inside] / reached)


def test_of_equally_likely_tokens_the_first_are_in_the_nucleus() -> None:
    assert nucleus(np.full(4, 0.25), 0.5).tolist() == [0.5, 0.5, 0, 0]


@given(LOGITS, SEEDS)
def test_a_top_p_of_nothing_leaves_the_likeliest(logits: NDArray[np.float32], seed: int) -> None:
    assert Sampling(temperature=1, top_p=0).draw(logits, np.random.default_rng(seed)) == softmax(logits, 1.0).argmax()


@given(LOGITS, st.floats(0.1, 10), SHARES, SEEDS)
def test_a_token_is_drawn_from_the_nucleus(logits: NDArray[np.float32], temperature: float, top_p: float, seed: int) -> None:
    token = Sampling(temperature=temperature, top_p=top_p).draw(logits, np.random.default_rng(seed))

    assert nucleus(softmax(logits, temperature), top_p)[token] > 0


@given(LOGITS, st.one_of(st.just(0.0), TEMPERATURES), SEEDS)
def test_a_seed_draws_what_it_draws_in_the_trainer(logits: NDArray[np.float32], temperature: float, seed: int) -> None:
    drawn = Sampling(temperature=temperature).draw(logits, np.random.default_rng(seed))

    assert drawn == trainer.draw(logits, temperature, np.random.default_rng(seed))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_an_error(temperature: float, broken: float) -> None:
    with pytest.raises(BadModel, match="no numbers"):
        Sampling(temperature=temperature).draw(np.array([1, broken, 2], np.float32), np.random.default_rng(0))


def test_a_tokens_share_of_many_draws_is_its_probability() -> None:
    logits, generator = np.log(np.array([0.1, 0.2, 0.7], np.float32)), np.random.default_rng(0)

    drawn = [Sampling(temperature=1, top_p=0.8).draw(logits, generator) for _ in range(4000)]

    assert np.bincount(drawn, minlength=3) / 4000 == pytest.approx([0, 2 / 9, 7 / 9], abs=0.03)


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1}, {"temperature": np.nan}, {"temperature": np.inf}, {"top_p": 1.1}, {"top_p": np.nan}, {"seed": -1}],
)
def test_numbers_that_say_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadRequest, match=next(iter(wrong))):
        Sampling(**{"temperature": 1, **wrong})  # type: ignore[arg-type]  # a float for any of them
