"""The table gives each device what it computes with, and products of bfloat16 where they are asked for."""

import numpy as np
import pytest
from compiled import DEVICE, MICRO, batch, hyperparameters, learner

from agents.trainer.devices import implementation_for, precision_for


def test_a_device_without_an_entry_computes_in_plain_tinygrad() -> None:
    unknown = implementation_for("QCOM:1")

    assert unknown.operations.norm.__module__ == "agents.parts.operations"
    assert unknown.update.__module__ == "agents.trainer.optimizer"


def test_a_processor_is_best_at_float32_and_does_what_it_is_told() -> None:
    assert precision_for(DEVICE, "auto") == "float32"
    assert precision_for(DEVICE, "bfloat16") == "bfloat16"


def test_products_of_bfloat16_learn_nearly_the_same() -> None:
    exact, rounded = learner(hyperparameters()), learner(hyperparameters(), MICRO, implementation_for(DEVICE, "bfloat16"))

    pairs = [(exact.step([batch()], 0.01)[0], rounded.step([batch()], 0.01)[0]) for _ in range(6)]

    assert all(one == pytest.approx(other, rel=0.05) for one, other in pairs)
    assert pairs[-1][1] < pairs[0][1] - 0.3
    assert any(one != other for one, other in pairs)
    assert all(array.dtype == np.float32 for array in rounded.state().weights.values())
