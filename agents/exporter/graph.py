"""The ONNX graphs of a model: the decoder with its cache and, where it sees, its embedding and the encoder of its pictures.

Standard operators of opset 23 (https://onnx.ai/onnx/operators/), but for weights in int4 and int8, which are onnxruntime's MatMulNBits.
Inputs and outputs have the names that optimum and onnxruntime-genai use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from agents.exporter.tensors import Numbers, Storage, plain, quantized, transposed
from agents.parts.recipes import Recipe, Vision, rotary_angles
from agents.parts.weights import Weights

OPSET = 23
IR_VERSION = 11
CONTRIBUTED = "com.microsoft"
"""The domain of onnxruntime's own operators."""
ACCURACY = {4: 0, 8: 4}
"""MatMulNBits' `accuracy_level` by bits: at 4 what meets the weights is rounded to int8 too, at 0 it is not. For int4 that is quick enough;
at 0 onnxruntime 1.32 has no quick kernel for int8 on a processor."""


def decoder(recipe: Recipe, weights: Weights, storage: Storage, metadata: Mapping[str, str]) -> ir.Model:
    """The text model: logits [batch, length, vocabulary] of tokens behind a cache, and the cache with them.

    Inputs: `input_ids` [batch, length] (of a model that sees `inputs_embeds` [batch, length, width]), `position_ids` [batch, length],
    `past_key_values.N.key` and `.value` [batch, kv heads, past, head width]. Outputs: `logits`, and `present.N.key` and `.value`.
    """
    graph = Graph(weights, storage)
    length = ("batch", "length")
    if recipe.vision:
        x = graph.input("inputs_embeds", graph.numbers, (*length, recipe.width))
    else:
        x = graph.embedding(graph.input("input_ids", ir.DataType.INT64, length))
    positions = graph.input("position_ids", ir.DataType.INT64, length)
    caches = [_cache(graph, recipe, f"past_key_values.{index}", "past") for index in range(recipe.layers)]
    angles = rotary_angles(recipe)
    rotary = [graph.constant(name, table) for name, table in (("cosines", np.cos(angles)), ("sines", np.sin(angles)))]
    mask = _causal_mask(graph, x, caches[0][0], recipe.heads // recipe.kv_heads)
    for index, past in enumerate(caches):
        attend = _cached_attention(graph, recipe, index, positions, rotary, mask, past)
        x = _block(graph, f"model.layers.{index}", x, recipe.norm_epsilon, attend)
    x = graph.norm("model.norm", x, recipe.norm_epsilon)
    graph.output(graph.linear("lm_head", x), "logits", graph.numbers, (*length, recipe.vocabulary), first=True)
    return graph.model("decoder", metadata)


def embed_tokens(recipe: Recipe, weights: Weights, storage: Storage, metadata: Mapping[str, str]) -> ir.Model:
    """`inputs_embeds` [batch, length, width] of `input_ids` [batch, length], for a model that sees."""
    graph = Graph(weights, storage)
    tokens = graph.input("input_ids", ir.DataType.INT64, ("batch", "length"))
    graph.output(graph.embedding(tokens), "inputs_embeds", graph.numbers, ("batch", "length", recipe.width))
    return graph.model("embed_tokens", metadata)


def vision_encoder(recipe: Recipe, vision: Vision, weights: Weights, storage: Storage, metadata: Mapping[str, str]) -> ir.Model:
    """`image_features` [batch, patches, width], which stand before a text's embeddings.

    Input: `pixel_values` [batch, channels, image, image], from -1 to 1.
    """
    graph = Graph(weights, storage)
    pixels = graph.input("pixel_values", graph.numbers, ("batch", vision.channels, vision.image, vision.image))
    embedded = graph.linear("vision.patches", _patches(graph, pixels, vision))
    x = graph.op("Add", embedded, graph.weight("vision.positions"))
    for index in range(vision.layers):
        x = _block(graph, f"vision.layers.{index}", x, recipe.norm_epsilon, _open_attention(graph, vision, index))
    x = graph.linear("vision.projector", graph.norm("vision.norm", x, recipe.norm_epsilon))
    graph.output(x, "image_features", graph.numbers, ("batch", vision.patches, recipe.width))
    return graph.model("vision_encoder", metadata)


@dataclass(slots=True)
class Graph:
    """A graph that grows node by node. Weights are named as in the checkpoint and read when the graph is written."""

    weights: Weights
    storage: Storage
    _tape: ir.tape.Tape = field(default_factory=ir.tape.Tape)
    _inputs: list[ir.Value] = field(default_factory=list)
    _outputs: list[ir.Value] = field(default_factory=list)
    _constants: dict[str, ir.Value] = field(default_factory=dict)

    @property
    def numbers(self) -> ir.DataType:
        """What is computed with."""
        return self.storage.numbers

    def input(self, name: str, dtype: ir.DataType, shape: tuple[int | str, ...]) -> ir.Value:
        self._inputs.append(ir.val(name, dtype=dtype, shape=shape))
        return self._inputs[-1]

    def output(self, value: ir.Value, name: str, dtype: ir.DataType, shape: tuple[int | str, ...], first: bool = False) -> None:
        value.name, value.dtype, value.shape = name, dtype, ir.Shape(shape)
        self._outputs.insert(0 if first else len(self._outputs), value)

    def op(self, kind: str, *inputs: ir.Value | None, domain: str = "", **attributes: Any) -> ir.Value:  # Any: what ONNX has as attributes
        return self._tape.op(kind, inputs, attributes, domain=domain)

    def ops(self, kind: str, *inputs: ir.Value | None, outputs: int, **attributes: Any) -> tuple[ir.Value, ...]:  # Any: as above
        return tuple(self._tape.op_multi_out(kind, inputs, attributes, num_outputs=outputs))

    def constant(self, name: str, numbers: NDArray[np.float64]) -> ir.Value:
        """A table of numbers that is no weight."""
        return self._tape.initializer(ir.tensor(Numbers(self.numbers.numpy()).round(numbers), dtype=self.numbers, name=name))

    def integers(self, *values: int) -> ir.Value:
        """A shape, or a list of axes."""
        name = "integers." + ",".join(map(str, values))
        if name not in self._constants:
            self._constants[name] = self._tape.initializer(ir.tensor(np.array(values, np.int64), name=name))
        return self._constants[name]

    def number(self, value: int) -> ir.Value:
        """An integer without dimensions."""
        name = f"integer.{value}"
        if name not in self._constants:
            self._constants[name] = self._tape.initializer(ir.tensor(np.array(value, np.int64), name=name))
        return self._constants[name]

    def weight(self, name: str) -> ir.Value:
        """A weight as it is."""
        return self._tape.initializer(plain(self.weights, f"{name}.weight", self.numbers))

    def embedding(self, tokens: ir.Value) -> ir.Value:
        table = self._tape.initializer(plain(self.weights, "model.embed_tokens.weight", self.storage.table))
        rows = self.op("Gather", table, tokens)
        return rows if self.storage.table == self.numbers else self.op("Cast", rows, to=self.numbers)

    def norm(self, name: str, x: ir.Value, epsilon: float) -> ir.Value:
        return self.op("RMSNormalization", x, self.weight(name), epsilon=epsilon)

    def linear(self, name: str, x: ir.Value) -> ir.Value:
        """x [..., in] times the transpose of a weight [out, in]."""
        if self.storage.blocks is None:
            return self.op("MatMul", x, self._tape.initializer(transposed(self.weights, f"{name}.weight", self.numbers)))
        outputs, inputs = self.weights.shape(f"{name}.weight")
        parts = quantized(self.weights, f"{name}.weight", self.storage.blocks)
        blocks = self.storage.blocks
        return self.op(
            "MatMulNBits",
            x,
            *(self._tape.initializer(part) for part in parts),
            domain=CONTRIBUTED,
            K=inputs,
            N=outputs,
            bits=blocks.bits,
            block_size=blocks.size,
            accuracy_level=ACCURACY[blocks.bits],
        )

    def model(self, name: str, metadata: Mapping[str, str]) -> ir.Model:
        """The finished graph. `metadata` says where it comes from."""
        opsets = {"": OPSET} if self.storage.blocks is None else {"": OPSET, CONTRIBUTED: 1}
        graph = ir.Graph(
            inputs=self._inputs,
            outputs=self._outputs,
            nodes=self._tape.nodes,
            initializers=self._tape.initializers,
            opset_imports=opsets,
            name=name,
        )
        return ir.Model(graph, ir_version=IR_VERSION, producer_name="zeropoint-bus", metadata_props=dict(metadata))


Attend = Callable[[ir.Value, ir.Value, ir.Value], ir.Value]
"""Mixed values [batch, length, width] of query, key and value [batch, length, channels]."""


def _block(graph: Graph, name: str, x: ir.Value, epsilon: float, attend: Attend) -> ir.Value:
    """A transformer's block on the residual stream."""
    normed = graph.norm(f"{name}.input_layernorm", x, epsilon)
    mixed = attend(*(graph.linear(f"{name}.self_attn.{part}_proj", normed) for part in "qkv"))
    x = graph.op("Add", x, graph.linear(f"{name}.self_attn.o_proj", mixed))
    normed = graph.norm(f"{name}.post_attention_layernorm", x, epsilon)
    gate, up = (graph.linear(f"{name}.mlp.{part}_proj", normed) for part in ("gate", "up"))
    gated = graph.op("Mul", graph.op("Mul", gate, graph.op("Sigmoid", gate)), up)
    return graph.op("Add", x, graph.linear(f"{name}.mlp.down_proj", gated))


def _cache(graph: Graph, recipe: Recipe, name: str, length: str) -> tuple[ir.Value, ir.Value]:
    shape = ("batch", recipe.kv_heads, length, recipe.head_width)
    key, value = (graph.input(f"{name}.{part}", graph.numbers, shape) for part in ("key", "value"))
    return key, value


def _causal_mask(graph: Graph, x: ir.Value, past: ir.Value, shared: int) -> ir.Value:
    """Which key each query sees, [shared * length, past + length]; once for each query head that shares a key head.

    Said outright, since programs differ in what `is_causal` means behind a cache.
    """
    before = graph.op("Squeeze", graph.op("Shape", past, start=2, end=3))
    length = graph.op("Squeeze", graph.op("Shape", x, start=1, end=2))
    end = graph.op("Add", before, length)
    one = graph.number(1)
    queries = graph.op("Unsqueeze", graph.op("Range", before, end, one), graph.integers(1))
    seen = graph.op("LessOrEqual", graph.op("Range", graph.number(0), end, one), queries)
    return graph.op("Tile", seen, graph.integers(shared, 1)) if shared > 1 else seen


def _cached_attention(
    graph: Graph,
    recipe: Recipe,
    index: int,
    positions: ir.Value,
    rotary: list[ir.Value],
    mask: ir.Value,
    past: tuple[ir.Value, ir.Value],
) -> Attend:
    """Attention of layer `index` behind its cache.

    The query heads that share a key head become rows of one: to the operator there are as many of one as of the other.
    tinygrad 0.14.0 assigns shared heads in another order than the standard.
    """
    width, groups, shared = recipe.head_width, recipe.kv_heads, recipe.heads // recipe.kv_heads

    def turned(x: ir.Value, heads: int) -> ir.Value:
        return graph.op("RotaryEmbedding", x, *rotary, positions, num_heads=heads)

    def by_head(x: ir.Value) -> ir.Value:
        return graph.op("Transpose", graph.op("Reshape", x, graph.integers(0, 0, groups, width)), perm=[0, 2, 1, 3])

    def attend(query: ir.Value, key: ir.Value, value: ir.Value) -> ir.Value:
        rows = graph.op("Reshape", turned(query, recipe.heads), graph.integers(0, 0, groups, shared, width))
        rows = graph.op("Transpose", rows, perm=[0, 2, 3, 1, 4])
        rows = graph.op("Reshape", rows, graph.integers(0, 0, -1, width))
        key, value = by_head(turned(key, groups)), by_head(value)
        mixed, *present = graph.ops("Attention", rows, key, value, mask, *past, outputs=3, scale=width**-0.5)
        for part, cache in zip(("key", "value"), present, strict=True):
            graph.output(cache, f"present.{index}.{part}", graph.numbers, ("batch", groups, "total", width))
        rows = graph.op("Reshape", mixed, graph.integers(0, 0, shared, -1, width))
        rows = graph.op("Transpose", rows, perm=[0, 3, 1, 2, 4])
        return graph.op("Reshape", rows, graph.integers(0, 0, -1))

    return attend


def _open_attention(graph: Graph, vision: Vision, index: int) -> Attend:
    """Attention of the encoder: every patch sees every other."""
    heads, scale = vision.heads, vision.head_width**-0.5
    return lambda query, key, value: graph.op("Attention", query, key, value, scale=scale, q_num_heads=heads, kv_num_heads=heads)


def _patches(graph: Graph, pixels: ir.Value, vision: Vision) -> ir.Value:
    """Pixels [batch, channels, image, image] as patches [batch, patches, values], whose values are by row, column and channel."""
    rows = vision.image // vision.patch
    cut = graph.op("Reshape", pixels, graph.integers(0, vision.channels, rows, vision.patch, rows, vision.patch))
    cut = graph.op("Transpose", cut, perm=[0, 2, 4, 3, 5, 1])
    return graph.op("Reshape", cut, graph.integers(0, vision.patches, vision.patch_values))
