"""A decoder behind its cache writes what the whole text gives, and nothing foreign or broken gets as far as that."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from compiled import MICRO
from exported import write_config, write_exported
from numpy.typing import NDArray
from tinygrad.engine.jit import TinyJit
from tinygrad.tensor import Tensor

from agents.parts import external_data
from agents.parts.external_data import BadModel
from agents.parts.generation import decoder as module
from agents.parts.generation import folder as files
from agents.parts.generation.decoder import Decoder
from agents.parts.generation.errors import BadRequest
from agents.parts.generation.sampling import Sampling
from agents.parts.generation.tokens import generate
from agents.parts.model import Llama, initial_weights
from agents.parts.operations import plain
from agents.trainer import sampling as trainer

Logits = NDArray[np.float32]

GREEDY = Sampling(temperature=0)
PROMPT = b"Hello"


@pytest.fixture(scope="module")
def weights() -> dict[str, Logits]:
    """Weights large enough that a text does not repeat itself."""
    generator = np.random.default_rng(7)
    return {
        name: (array + 0.3 * generator.standard_normal(array.shape)).astype(np.float32) for name, array in initial_weights(MICRO, 0).items()
    }


@pytest.fixture(scope="module")
def folder(weights: dict[str, Logits], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exported(tmp_path_factory.mktemp("export") / "float32", MICRO, weights)


@pytest.fixture(scope="module")
def decoder(folder: Path) -> Decoder:
    return Decoder.open(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A folder to be spoilt."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def batch(*prompts: bytes) -> NDArray[np.int64]:
    return np.array([list(prompt) for prompt in prompts], np.int64)


def texts(decoder: Decoder, prompts: NDArray[np.int64], sampling: Sampling, length: int) -> list[list[int]]:
    rows: list[list[int]] = np.stack(list(islice(generate(decoder, prompts, sampling), length)), 1).tolist()
    return rows


def anew(folder: Path, numbers: type[np.floating]) -> Callable[[NDArray[np.int32]], Logits]:
    """Logits after each token by a run over all of them, without a cache, in a session of its own."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    nothing = {
        f"past_key_values.{layer}.{part}": np.zeros((1, MICRO.kv_heads, 0, MICRO.head_width), numbers)
        for layer in range(MICRO.layers)
        for part in ("key", "value")
    }

    def logits(tokens: NDArray[np.int32]) -> Logits:
        inputs = {"input_ids": tokens[None].astype(np.int64), "position_ids": np.arange(len(tokens))[None]}
        found: Logits = session.run(["logits"], inputs | nothing)[0][0].astype(np.float32)
        return found

    return logits


@pytest.mark.parametrize("numbers", [ir.DataType.FLOAT, ir.DataType.FLOAT16])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_text_is_what_the_trainer_draws_from_runs_over_the_whole_window(
    weights: dict[str, Logits], tmp_path: Path, numbers: ir.DataType, temperature: float
) -> None:
    exported = write_exported(tmp_path / "export", MICRO, weights, numbers=numbers)

    (text,) = texts(Decoder.open(exported), batch(PROMPT), Sampling(temperature=temperature, seed=3), 2 * MICRO.context)

    whole = trainer.generate(anew(exported, numbers.numpy().type), MICRO.context, PROMPT, temperature, 3)
    assert text == list(islice(whole, 2 * MICRO.context))
    assert len(set(text)) > 10


def test_tinygrad_writes_the_same_with_the_same_weights(weights: dict[str, Logits], decoder: Decoder) -> None:
    llama = Llama(MICRO, weights, plain())
    run = TinyJit(lambda tokens: llama(tokens).realize())

    (text,) = texts(decoder, batch(PROMPT), GREEDY, 12)

    judged = trainer.generate(lambda tokens: run(Tensor(tokens[None]).realize()).numpy()[0], MICRO.context, PROMPT, 0.0, 0)
    assert text == list(islice(judged, 12))


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0.8, top_p=0.9, seed=5)])
def test_a_row_of_a_batch_is_the_text_that_it_would_be_alone(decoder: Decoder, sampling: Sampling) -> None:
    prompts = (b"One two", b"a prompt"[:7], b"\0\1\2\3\4\5\6")

    together = texts(decoder, batch(*prompts), sampling, 40)

    alone = [Sampling(temperature=sampling.temperature, top_p=sampling.top_p, seed=sampling.seed + row) for row in range(len(prompts))]
    assert together == [texts(decoder, batch(prompt), each, 40)[0] for prompt, each in zip(prompts, alone, strict=True)]


def test_of_a_prompt_longer_than_the_context_the_end_counts(decoder: Decoder) -> None:
    long = bytes(range(100))

    assert texts(decoder, batch(long), GREEDY, 8) == texts(decoder, batch(long[-MICRO.context :]), GREEDY, 8)


def test_a_prompt_read_in_parts_gives_the_same_logits(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = batch(bytes(range(30)))
    at_once, _ = decoder.read(tokens, decoder.empty())
    monkeypatch.setattr(module, "AT_ONCE", 7)

    in_parts, cache = decoder.read(tokens, decoder.empty())

    np.testing.assert_allclose(in_parts, at_once, atol=1e-4)
    assert cache.length == 30


def test_texts_part_behind_one_cache(decoder: Decoder) -> None:
    _, cache = decoder.read(batch(b"One"), decoder.empty())

    first, other, again = (decoder.read(batch(token), cache)[0] for token in (b"a", b"b", b"a"))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(first, decoder.read(batch(b"Onea"), decoder.empty())[0], atol=1e-4)


def test_a_closed_text_goes_on_no_more(decoder: Decoder) -> None:
    tokens = generate(decoder, batch(PROMPT), GREEDY)
    next(tokens)

    tokens.close()

    assert next(tokens, None) is None


def test_threads_are_as_many_as_were_asked_for(folder: Path) -> None:
    assert Decoder.open(folder, threads=3).session.get_session_options().intra_op_num_threads == 3


def test_metadata_says_where_a_model_comes_from(decoder: Decoder) -> None:
    assert decoder.metadata["zeropoint.recipe"] == "micro"


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (np.zeros((1, 0), np.int64), "want some"),
        (np.zeros((2, 3), np.int64), "want some for each of 1 texts"),
        (np.array([[5, 256]]), "from 5 to 256: the model has 0 to 255"),
        (np.array([[-1]]), "from -1"),
        (np.zeros((1, 33), np.int64), "33 tokens behind 0: the model's context holds 32"),
    ],
)
def test_tokens_that_cannot_be_read_are_refused(decoder: Decoder, tokens: NDArray[np.int64], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        decoder.read(tokens, decoder.empty())


def test_nothing_follows_prompts_of_no_tokens(decoder: Decoder) -> None:
    with pytest.raises(BadRequest, match="follows something"):
        next(generate(decoder, np.zeros((1, 0), np.int64), GREEDY))


def rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "inputs_embeds"
    model.graph.node[0].input[1] = "inputs_embeds"


def drop_output(model: onnx.ModelProto) -> None:
    del model.graph.output[-1]


def free_heads(model: onnx.ModelProto) -> None:
    model.graph.input[2].type.tensor_type.shape.dim[1].dim_param = "heads"


def short_positions(model: onnx.ModelProto) -> None:
    model.graph.input[1].type.tensor_type.elem_type = onnx.TensorProto.INT32


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (rename_input, "takes inputs_embeds, .*: a decoder with a cache takes input_ids"),
        (drop_output, "gives logits, .*: a decoder with a cache gives logits, .*present.1.value"),
        (free_heads, r"past_key_values.0.key has the shape \['batch', 'heads', 'past', 8\]"),
        (short_positions, "onnxruntime does not open"),
    ],
)
def test_a_foreign_model_is_named_before_it_runs(copy: Path, change: Callable[[onnx.ModelProto], None], reason: str) -> None:
    model = onnx.load(copy / "model.onnx", load_external_data=False)
    change(model)
    onnx.save(model, copy / "model.onnx")

    with pytest.raises(BadModel, match=reason):
        Decoder.open(copy)


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-100])


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def lead_out(folder: Path) -> None:
    """Let the data be a link to a file elsewhere."""
    (folder / "model.onnx.data").rename(folder.parent / "elsewhere")
    (folder / "model.onnx.data").symlink_to(folder.parent / "elsewhere")


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut("model.onnx"), "is no ONNX model"),
        (cut("model.onnx.data"), "onnxruntime does not open .*out of bounds"),
        (remove("model.onnx"), "'model.onnx' cannot be read"),
        (remove("model.onnx.data"), "onnxruntime does not open .*does not exist"),
        (lead_out, "onnxruntime does not open .*escapes"),
        (write("model.onnx", ""), "onnxruntime does not open"),
        (write("config.json", "{}"), "max_position_embeddings"),
        (write("config.json", "no JSON"), "config.json"),
    ],
)
def test_a_broken_folder_is_one_kind_of_error(copy: Path, spoil: Callable[[Path], object], reason: str) -> None:
    spoil(copy)

    with pytest.raises(BadModel, match=reason):
        Decoder.open(copy)


def every_tensor(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """One among the initializers, one in a node of an inner graph, one in a function."""
    yield next(tensor for tensor in model.graph.initializer if tensor.external_data)
    inner = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["c"], value=onnx.TensorProto())], "inner", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["condition"], [], then_branch=inner))
    yield model.graph.node[-1].attribute[0].g.node[0].attribute[0].t
    function = onnx.helper.make_function("ours", "f", [], [], [onnx.helper.make_node("Constant", [], ["c"], value=onnx.TensorProto())], [])
    model.functions.append(function)
    yield model.functions[-1].node[0].attribute[0].t


@pytest.mark.parametrize("location", ["../elsewhere", "/etc/passwd", "inner/file", "..", "", "*/_ORT_MEM_ADDR_/*"])
@pytest.mark.parametrize("number", range(3))
def test_weights_outside_the_folder_are_refused_before_they_are_opened(copy: Path, location: str, number: int) -> None:
    model = onnx.load(copy / "model.onnx", load_external_data=False)
    tensor = list(every_tensor(model))[number]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    onnx.save(model, copy / "model.onnx")

    with pytest.raises(BadModel, match=r"want (one file|the name of a file)"):
        files.read_graph(copy)


@pytest.mark.parametrize("seed", range(4))
def test_a_graph_with_spoilt_bytes_runs_or_is_that_kind_of_error(copy: Path, seed: int) -> None:
    whole, generator = (copy / "model.onnx").read_bytes(), np.random.default_rng(seed)
    for _ in range(20):
        spoilt = bytearray(whole)
        spoilt[generator.integers(len(spoilt))] = generator.integers(256)
        (copy / "model.onnx").write_bytes(spoilt)
        with suppress(BadModel):
            next(generate(Decoder.open(copy, threads=1), batch(PROMPT), GREEDY))


def test_a_graph_beyond_the_bound_is_not_parsed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_data, "LIMIT", 100)

    with pytest.raises(BadModel, match="more than the 100 bytes"):
        Decoder.open(folder)


def test_a_context_that_the_model_does_not_have_is_an_error_when_it_is_reached(copy: Path) -> None:
    write_config(copy, max_position_embeddings=1000)

    with pytest.raises(BadModel, match="does not run over 40 tokens behind 0"):
        next(generate(Decoder.open(copy), batch(bytes(40)), GREEDY))


def test_weights_that_are_no_numbers_are_an_error(copy: Path) -> None:
    data = copy / "model.onnx.data"
    size = data.stat().st_size
    data.unlink()
    data.write_bytes(b"\xff" * size)  # NaN, read as float32

    with pytest.raises(BadModel, match="no numbers"):
        next(generate(Decoder.open(copy), batch(PROMPT), GREEDY))
