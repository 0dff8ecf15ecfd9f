"""Text is drawn as the logits say, and again the same from the same seed."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.trainer.sampling import draw, generate

CONTEXT = 8


def counting(tokens: NDArray[np.int32]) -> NDArray[np.float32]:
    """Logits of a model that says after each token the next number."""
    return (100 * np.eye(256)[(tokens + 1) % 256]).astype(np.float32)


def uncertain(tokens: NDArray[np.int32]) -> NDArray[np.float32]:
    return np.zeros((CONTEXT, 256), np.float32)


def sample(prompt: bytes, temperature: float, seed: int, length: int = 20) -> bytes:
    return bytes(islice(generate(uncertain, CONTEXT, prompt, temperature, seed), length))


def test_text_goes_on_past_the_context() -> None:
    assert bytes(islice(generate(counting, CONTEXT, b"abc", 1.0, 0), 20)) == b"defghijklmnopqrstuvw"


def test_a_prompt_longer_than_the_context_is_continued_from_its_end() -> None:
    assert bytes(islice(generate(counting, CONTEXT, b"0123456789abcdef", 0.0, 0), 3)) == b"ghi"


def test_nothing_follows_a_prompt_of_no_tokens() -> None:
    with pytest.raises(ValueError, match="no tokens"):
        next(generate(counting, CONTEXT, [], 0.0, 0))


def test_the_seed_decides() -> None:
    assert sample(b"a", 1.0, 1) == sample(b"a", 1.0, 1) != sample(b"a", 1.0, 2)


def test_temperature_sharpens_what_the_logits_say() -> None:
    logits = np.log(np.array([0.2, 0.8], np.float32))
    generator = np.random.default_rng(0)

    def share(temperature: float) -> float:
        return Counter(draw(logits, temperature, generator) for _ in range(4000))[1] / 4000

    assert abs(share(1.0) - 0.8) < 0.03
    assert abs(share(0.5) - 0.64 / 0.68) < 0.03
    assert share(0.0) == 1.0


def test_a_tiny_temperature_does_not_overflow() -> None:
    assert draw(np.array([1.0, 80.0, -80.0], np.float32), 1e-300, np.random.default_rng(0)) == 1
