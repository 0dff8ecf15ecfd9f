"""A checkpoint comes back as it was saved, or is refused."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from compiled import MICRO, hyperparameters

from agents.parts import safetensors
from agents.parts.checkpoint import BadCheckpoint, Content
from agents.parts.model import initial_weights
from agents.trainer.checkpoint import Saved, load, load_state, save
from agents.trainer.state import State
from bus.store import NotInStore, Store
from schemas.train import Dataset

WEIGHTS = initial_weights(MICRO, 0)
STATE = State(
    weights=WEIGHTS,
    means={name: array + 1 for name, array in WEIGHTS.items()},
    squares={name: array * array for name, array in WEIGHTS.items()},
    steps=7,
)
DATASET = Dataset(
    path="/text", hash="0" * 64, tokenizer="bytes", vocabulary=256, files=2, training_tokens=9, heldout_tokens=1, split="by file"
)


def saved(store: Store, run: str = "run-1") -> Saved:
    content = Content(
        run=run,
        step=7,
        recipe=MICRO,
        hyperparameters=hyperparameters(),
        dataset=DATASET,
        loss=2.5,
        heldout_loss=None,
        versions={"tinygrad": "1"},
    )
    return save(STATE, content, store)


def test_a_checkpoint_comes_back_to_the_bit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    checkpoint = saved(store)

    content, weights = load(checkpoint.meta.hash, store)

    assert content == checkpoint.content
    assert weights.keys() == WEIGHTS.keys()
    assert all(np.array_equal(weights[name], array) for name, array in WEIGHTS.items())


def test_the_optimisers_state_comes_back_to_the_bit(tmp_path: Path) -> None:
    store = Store(tmp_path)

    _, state = load_state(saved(store).meta.hash, store)

    assert state.steps == 7
    for part in ("weights", "means", "squares"):
        kept, expected = getattr(state, part), getattr(STATE, part)
        assert kept.keys() == expected.keys()
        assert all(kept[name].tobytes() == array.tobytes() for name, array in expected.items())


def test_a_state_of_another_shape_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cut = dataclasses.replace(STATE, means={**STATE.means, "lm_head.weight": np.zeros((1, 1), np.float32)})

    checkpoint = save(cut, saved(store).content, store)

    with pytest.raises(BadCheckpoint, match=r"moments .* see mean.lm_head.weight"):
        load_state(checkpoint.meta.hash, store)


def test_the_weights_file_is_one_that_other_libraries_read(tmp_path: Path) -> None:
    data = (tmp_path / saved(Store(tmp_path)).weights.path).read_bytes()

    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    place = header["lm_head.weight"]
    assert header["__metadata__"] == {"format": "pt"}
    assert (place["dtype"], place["shape"]) == ("F32", [256, 32])
    assert data[8 + length :][slice(*place["data_offsets"])] == WEIGHTS["lm_head.weight"].tobytes()


def test_equal_weights_of_two_runs_are_one_file(tmp_path: Path) -> None:
    first, second = saved(Store(tmp_path), "run-1"), saved(Store(tmp_path), "run-2")

    assert first.weights == second.weights
    assert first.meta.hash != second.meta.hash


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    checkpoint = saved(store)
    path = tmp_path / checkpoint.weights.path
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\1")

    with pytest.raises(NotInStore, match="changed"):
        load(checkpoint.meta.hash, store)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    checkpoint = saved(store)
    other = store.put(safetensors.encode({**WEIGHTS, "model.norm.weight": np.ones(31, np.float32)}, {}))
    meta = store.read(checkpoint.meta.hash).replace(checkpoint.weights.hash.encode(), other.hash.encode())

    with pytest.raises(BadCheckpoint, match=r"not float32 in the shapes of recipe micro: see model\.norm\.weight"):
        load(store.put(meta).hash, store)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[" * 5000, b" " * (2 << 20), b'{"format": "other"}'])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    store = Store(tmp_path)

    with pytest.raises(BadCheckpoint):
        load(store.put(data).hash, store)
