"""Someone else's implementation agrees: transformers' LlamaForCausalLM, its gradients, and PyTorch's AdamW."""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from compiled import DEVICE, learner
from numpy.typing import NDArray
from tinygrad.tensor import Tensor

from agents.parts import safetensors
from agents.parts.model import Llama, initial_weights
from agents.parts.operations import plain
from agents.parts.recipes import RECIPES
from agents.trainer.data.corpus import Batch
from agents.trainer.devices import implementation_for
from agents.trainer.implementation import Implementation
from agents.trainer.optimizer import gradient_of, update
from agents.trainer.plan import Settings, make_plan
from agents.trainer.schedule import learning_rate
from schemas.train import Start

SCRIPT = Path(__file__).parents[1] / "judge" / "llama.py"
TIMEOUT = 100.0
TINY = RECIPES["tiny"]
STEPS = 5
HYPER = make_plan(Start(recipe="tiny", steps=STEPS * 10), Settings()).hyper
IMPLEMENTATIONS = {"plain": Implementation(operations=plain(), update=update), DEVICE: implementation_for(DEVICE)}

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Judged:
    """What PyTorch computed from the weights that a run of ours starts with, over the same batches."""

    batches: list[Batch]
    rates: list[float]
    losses: NDArray[np.float32]
    norms: NDArray[np.float32]
    gradients: Arrays
    weights: Arrays


@pytest.fixture(scope="module")
def judged(judge: Path, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("judge")
    text = np.frombuffer(Path(argparse.__file__).read_bytes(), np.uint8)
    batches = [windows(text, step) for step in range(STEPS)]
    rates = [learning_rate(step, HYPER) for step in range(1, STEPS + 1)]
    tokens, targets = (np.stack(arrays) for arrays in zip(*batches, strict=True))
    given = {**initial_weights(TINY, HYPER.seed), "tokens": tokens, "targets": targets}
    (folder / "given").write_bytes(safetensors.encode(given, {}))

    command = [judge, SCRIPT, json.dumps(order(rates)), folder / "given", folder / "found"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)

    assert done.returncode == 0, done.stderr
    found, _ = safetensors.decode((folder / "found").read_bytes())
    return Judged(batches, rates, found["losses"], found["norms"], named("gradient", found), named("weight", found))


def windows(text: NDArray[np.uint8], seed: int) -> Batch:
    """Some of the text: bytes [batch, context], and the ones that follow."""
    starts = np.random.default_rng(seed).integers(0, len(text) - HYPER.context, HYPER.batch)
    rows = text[starts[:, None] + np.arange(HYPER.context + 1)].astype(np.int32)
    return np.ascontiguousarray(rows[:, :-1]), np.ascontiguousarray(rows[:, 1:])


def order(rates: list[float]) -> dict[str, object]:
    model = {
        "vocab_size": TINY.vocabulary,
        "hidden_size": TINY.width,
        "intermediate_size": TINY.ffn,
        "num_hidden_layers": TINY.layers,
        "num_attention_heads": TINY.heads,
        "num_key_value_heads": TINY.kv_heads,
        "head_dim": TINY.head_width,
        "max_position_embeddings": TINY.context,
        "rms_norm_eps": TINY.norm_epsilon,
        "rope_parameters": {"rope_type": "default", "rope_theta": TINY.rope_base},
        "tie_word_embeddings": False,
    }
    return {"model": model, "rates": rates, "betas": (HYPER.beta1, HYPER.beta2)} | {
        name: getattr(HYPER, name) for name in ("epsilon", "weight_decay", "clip_norm")
    }


def named(kind: str, found: Arrays) -> Arrays:
    return {name.removeprefix(f"{kind} "): array for name, array in found.items() if name.startswith(f"{kind} ")}


def distance(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """The largest difference as a share of the largest value."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> Implementation:
    return IMPLEMENTATIONS[request.param]


def test_the_first_loss_and_its_gradients_are_those_of_transformers(judged: Judged, implementation: Implementation) -> None:
    model = Llama(TINY, initial_weights(TINY, HYPER.seed), implementation.operations)

    loss = model.loss(*(Tensor(array) for array in judged.batches[0])).backward()
    gradients = {name: gradient_of(name, weight).numpy() for name, weight in model.weights.items()}

    assert loss.item() == pytest.approx(float(judged.losses[0]), rel=1e-6)
    assert gradients.keys() == judged.gradients.keys()
    for name, gradient in gradients.items():
        assert distance(gradient, judged.gradients[name]) < 1e-4, name


def test_a_few_steps_lead_where_pytorch_s_adamw_leads(judged: Judged, implementation: Implementation) -> None:
    """Against the way that a weight can go in these steps, which is the sum of their rates, for AdamW moves each by about its rate.

    Where a gradient is hardly more than what float32 rounds away, AdamW moves all the same: so single weights may differ more.
    """
    trained = learner(HYPER, TINY, implementation)

    steps = [trained.step([batch], rate) for batch, rate in zip(judged.batches, judged.rates, strict=True)]

    losses, norms = zip(*steps, strict=True)
    np.testing.assert_allclose(losses, judged.losses, rtol=1e-5)
    np.testing.assert_allclose(norms, judged.norms, rtol=1e-4)
    way = sum(judged.rates)
    for name, weight in trained.state().weights.items():
        differences = np.abs(weight - judged.weights[name])
        assert differences.max() < 1e-2 * way and differences.mean() < 1e-5 * way, name
    assert np.max(judged.norms) > HYPER.clip_norm, "no step was clipped"
