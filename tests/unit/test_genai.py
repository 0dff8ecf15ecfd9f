"""onnxruntime-genai runs an exported folder as it is, and writes what onnxruntime alone writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from compiled import MICRO
from hf_folder import written

from agents.exporter.genai import genai_files
from agents.exporter.graph import decoder
from agents.exporter.tensors import storage_for
from agents.parts.recipes import RECIPES, Recipe
from agents.parts.weights import Weights
from schemas.export import Precision

PROMPT = [72, 101, 108, 108, 111]
LENGTH = 20
TEXT = [recipe for recipe in RECIPES.values() if recipe.vision is None]


@pytest.fixture(scope="module")
def genai() -> Any:  # Any: the module, which has no types
    return pytest.importorskip("onnxruntime_genai", reason="the extra `bench` has onnxruntime-genai")


@pytest.fixture(params=["float32", "float16", "int8", "int4"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    precision: Precision = request.param
    made = written(tmp_path, MICRO, precision)
    graph = decoder(MICRO, Weights([tmp_path / "00"]), storage_for(precision), {})
    ir.save(graph, made / "model.onnx", external_data="model.onnx.data")
    return made


def continued_by_onnxruntime(folder: Path, tokens: list[int]) -> list[int]:
    """The whole text anew for each token."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    wide = "float16" if "float16" in session.get_inputs()[-1].type else "float32"
    empty = {each.name: np.zeros((1, MICRO.kv_heads, 0, MICRO.head_width), wide) for each in session.get_inputs()[2:]}
    while len(tokens) < LENGTH:
        ids = {"input_ids": np.array([tokens]), "position_ids": np.arange(len(tokens))[None]}
        logits = np.asarray(session.run(["logits"], {**ids, **empty})[0])
        tokens = [*tokens, int(logits[0, -1].argmax())]
    return tokens


def test_its_greedy_tokens_are_those_of_onnxruntime(genai: Any, folder: Path) -> None:
    model = genai.Model(str(folder))
    parameters = genai.GeneratorParams(model)
    parameters.set_search_options(max_length=LENGTH)
    generator = genai.Generator(model, parameters)

    generator.append_tokens(PROMPT)
    while not generator.is_done():
        generator.generate_next_token()

    assert generator.get_sequence(0).tolist() == continued_by_onnxruntime(folder, PROMPT)
    assert len(set(generator.get_sequence(0).tolist())) > 7, "tokens that differ"


@pytest.mark.parametrize("folder", ["float32"], indirect=True)
def test_its_tokens_of_a_text_are_bytes(genai: Any, folder: Path) -> None:
    tokenizer = genai.Tokenizer(genai.Model(str(folder)))

    for text in ("Ā <|end|>\n", "Größe 四 \U0001f40d", " two  spaces", "don't"):
        assert tokenizer.encode(text).tolist() == list(text.encode())
        assert tokenizer.decode(list(text.encode())) == text


@pytest.mark.parametrize("recipe", TEXT, ids=[recipe.name for recipe in TEXT])
def test_the_configuration_says_the_shape_of_the_recipe(recipe: Recipe) -> None:
    config = json.loads(genai_files(recipe, 5)["genai_config.json"])

    decoder = config["model"]["decoder"]
    assert decoder["head_size"] * decoder["num_attention_heads"] == decoder["hidden_size"] == recipe.width
    assert config["model"]["context_length"] == config["search"]["max_length"] == recipe.positions
    assert config["model"]["eos_token_id"] == 5


def test_its_names_are_those_of_the_graph(tmp_path: Path) -> None:
    described = json.loads((written(tmp_path, MICRO) / "genai_config.json").read_bytes())["model"]["decoder"]
    graph = decoder(MICRO, Weights([tmp_path / "00"]), storage_for("float32"), {}).graph

    named = {name % layer if "%d" in name else name for layer in range(MICRO.layers) for name in described["inputs"].values()}
    given = {name % layer if "%d" in name else name for layer in range(MICRO.layers) for name in described["outputs"].values()}

    assert named == {value.name for value in graph.inputs}
    assert given == {value.name for value in graph.outputs}


def test_a_model_that_sees_has_none() -> None:
    assert genai_files(RECIPES["vlm"], 0) == {}
