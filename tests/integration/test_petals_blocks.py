"""Blocks on this machine compute what transformers computes of the whole model, to the last bit, and nothing from a damaged layer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from agents.exporter.huggingface import config_files, put_weights
from agents.parts import safetensors
from agents.parts.model import initial_weights
from agents.parts.recipes import RECIPES
from agents.parts.weights import Weights
from agents.petals.layers.cache import Cache
from agents.petals.layers.index import file_of
from schemas.export import Precision

CHECKOUT = Path(__file__).parents[2]
SCRIPTS = CHECKOUT / "tests" / "swarm"
TIMEOUT = 100.0
TINY = RECIPES["tiny"]
PT = {"format": "pt"}
"""The metadata that transformers asks for."""
AT_ONCE, IN_PIECES = (40,), (7, 1, 1, 20, 11, 50)
"""Tokens that are read at once."""
SAME = {"embeddings": True, "hidden": True, "logits": True, "released": True}


def model(tmp_path: Path, precision: Precision = "float32", tied: bool = False, shard: int = 1 << 19) -> Path:
    """A folder of Hugging Face's, in shards where it is in halves, whose layers all count in what it says."""
    weights = {name: array * 6 if array.ndim > 1 and "embed" not in name else array for name, array in initial_weights(TINY, 0).items()}
    (tmp_path / "weights").write_bytes(safetensors.encode({name: weights[name] for name in weights if not (tied and "head" in name)}, PT))
    folder = tmp_path / "model"
    folder.mkdir()
    put_weights([tmp_path / "weights"], precision, folder, shard)
    config = json.loads(config_files(TINY, 0, precision)["config.json"]) | {"tie_word_embeddings": tied}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def skeleton(whole: Path, *layers: int) -> Path:
    """A folder with these layers of a model in float32, and what is outside of layers."""
    folder = whole.with_name("skeleton")
    folder.mkdir()
    tensors, _ = safetensors.decode((whole / "model.safetensors").read_bytes())
    path = {name: name.split(".") for name in tensors}
    part = {name: array for name, array in tensors.items() if path[name][1] != "layers" or int(path[name][2]) in layers}
    (folder / "model.safetensors").write_bytes(safetensors.encode(part, PT))
    (folder / "config.json").write_bytes((whole / "config.json").read_bytes())
    return folder


def without_shards(whole: Path) -> Path:
    """A folder that lacks the shards in which layers are alone, and whose index still names them."""
    folder = shutil.copytree(whole, whole.with_name("skeleton"))
    shards = list(folder.glob("*.safetensors"))
    alone = [shard for shard in shards if all(name.startswith("model.layers.") for name in Weights([shard]).names)]
    for shard in alone:
        shard.unlink()
    assert 0 < len(alone) < len(shards)
    return folder


def cached(whole: Path, start: int, end: int) -> Path:
    """A cache with these layers of a model."""
    cache = Cache(whole.with_name("cache"), 1 << 30)
    cache.count("tiny", start, end, 1)
    assert len(cache.keep(whole, "tiny", threading.Event()).brought) == end - start
    return whole.with_name("cache")


def compared(python: Path, whole: Path, folder: Path, start: int, end: int, pieces: tuple[int, ...]) -> dict[str, Any]:
    """What tests/swarm/local_blocks.py finds of these blocks."""
    return said(python, "local_blocks.py", whole, folder, whole.with_name("cache"), "tiny", start, end, *pieces)


def said(python: Path, script: str, *arguments: object) -> dict[str, Any]:
    """The JSON that a script of tests/swarm writes."""
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "HF_HUB_OFFLINE": "1"}
    command = [python, SCRIPTS / script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("pieces", [AT_ONCE, IN_PIECES])
def test_all_blocks_of_a_folder_compute_what_transformers_does(pieces: tuple[int, ...], swarm_python: Path, tmp_path: Path) -> None:
    whole = model(tmp_path)

    assert compared(swarm_python, whole, whole, 0, 4, pieces) == SAME | {"dtype": "torch.float32"}


def test_so_do_blocks_of_which_this_machine_has_only_the_cache(swarm_python: Path, tmp_path: Path) -> None:
    whole = model(tmp_path)
    cached(whole, 2, 4)

    assert compared(swarm_python, whole, skeleton(whole), 2, 4, IN_PIECES) == SAME | {"dtype": "torch.float32"}


def test_so_do_those_that_are_here_and_there(swarm_python: Path, tmp_path: Path) -> None:
    whole = model(tmp_path)
    cached(whole, 1, 3)

    assert compared(swarm_python, whole, skeleton(whole, 0, 3), 0, 4, IN_PIECES) == SAME | {"dtype": "torch.float32"}


@pytest.mark.parametrize(("precision", "dtype"), [("bfloat16", "torch.bfloat16"), ("float16", "torch.float32")])
def test_halves_are_computed_as_petals_does_on_a_processor(precision: Precision, dtype: str, swarm_python: Path, tmp_path: Path) -> None:
    whole = model(tmp_path, precision, tied=precision == "bfloat16")
    cached(whole, 0, 4)

    assert compared(swarm_python, whole, without_shards(whole), 0, 4, IN_PIECES) == SAME | {"dtype": dtype}


@pytest.mark.parametrize("at", [20, -1])
def test_nothing_is_computed_with_a_damaged_layer(at: int, swarm_python: Path, tmp_path: Path) -> None:
    whole = model(tmp_path)
    damaged = file_of(cached(whole, 0, 4), ("tiny", 3))
    data = bytearray(damaged.read_bytes())
    data[at] ^= 1
    damaged.write_bytes(data)

    found = compared(swarm_python, whole, skeleton(whole), 0, 4, AT_ONCE)

    assert found["error"] == "BadLayer" and "layer 3 of tiny was damaged in the cache" in found["message"]
    assert not damaged.exists()


def test_layers_that_neither_has_are_named(swarm_python: Path, tmp_path: Path) -> None:
    whole = model(tmp_path)
    cached(whole, 1, 2)

    found = compared(swarm_python, whole, skeleton(whole, 2), 0, 4, AT_ONCE)

    assert found["error"] == "MissingLayers" and "the layers 0, 3: neither" in found["message"]


def test_a_text_longer_than_the_model_was_made_for_is_refused(swarm_python: Path, tmp_path: Path) -> None:
    whole = model(tmp_path)

    found = compared(swarm_python, whole, whole, 0, 4, (120, 9))

    assert found["error"] == "ValueError" and "behind 120 of 128 positions" in found["message"]


@pytest.mark.parametrize(
    ("change", "reason"), [({"vocab_size": 300}, "has shape (256, 128)"), ({"tie_word_embeddings": False}, "has no lm_head")]
)
def test_a_folder_without_what_stands_around_the_blocks_is_refused(
    change: dict[str, Any], reason: str, swarm_python: Path, tmp_path: Path
) -> None:
    whole = model(tmp_path, tied=True)
    config = json.loads((whole / "config.json").read_text())
    (whole / "config.json").write_text(json.dumps(config | change))

    found = compared(swarm_python, whole, whole, 0, 4, AT_ONCE)

    assert found["error"] == "BadFolder" and reason in found["message"]


def test_the_model_is_configured_as_petals_would_but_for_what_a_stranger_s_file_must_not_say(swarm_python: Path, tmp_path: Path) -> None:
    whole = model(tmp_path)
    strange = {"initial_peers": ["/ip4/192.0.2.1/tcp/1"], "allowed_servers": ["nobody"], "request_timeout": 1e9, "tuning_mode": "ptune"}
    config = json.loads((whole / "config.json").read_text())
    (whole / "config.json").write_text(json.dumps(config | strange))

    differ = said(swarm_python, "configured.py", whole)

    assert {name: differ.pop(name)[1] for name in strange} == strange
    unread = {"dtype", "head_dim", "mlp_bias", "model_type", "rope_parameters"}  # by the stack of 2023, which has them as attributes alone
    assert differ.keys() <= unread | {"bos_token_id", "eos_token_id", "pad_token_id", "show_route"}
