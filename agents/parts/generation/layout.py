"""What a session's inputs and outputs must be for it to be a decoder, and what they say of the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import DTypeLike

from agents.parts.external_data import BadModel

_FLOATS: dict[str, DTypeLike] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_INTEGERS = "tensor(int64)"
_IDS = ("input_ids", "position_ids")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`past` names the inputs of a cache, layer by layer, key before value; `caches` are their heads and the width of a head.

    `outputs` names the logits, then the cache in the same order; `numbers` is the type of all of them.
    """

    vocabulary: int
    numbers: DTypeLike
    past: tuple[str, ...]
    caches: tuple[tuple[int, int], ...]
    outputs: tuple[str, ...]


def layout_of(session: onnxruntime.InferenceSession) -> Layout:
    """Raises BadModel where the model is no decoder with a cache, by the names that optimum and onnxruntime-genai use."""
    inputs = {each.name: each for each in session.get_inputs()}
    outputs = {each.name: each for each in session.get_outputs()}
    parts = [f"{layer}.{part}" for layer in range(max(1, (len(inputs) - len(_IDS)) // 2)) for part in ("key", "value")]
    past, written = (tuple(f"{name}.{part}" for part in parts) for name in ("past_key_values", "present"))
    _expect("takes", inputs, (*_IDS, *past))
    _expect("gives", outputs, ("logits", *written))
    floats = {each.type for name, each in (inputs | outputs).items() if name not in _IDS}
    integers = {inputs[name].type for name in _IDS}
    if integers != {_INTEGERS} or len(floats) != 1 or not floats <= _FLOATS.keys():
        raise BadModel(f"the model takes {_list(integers)} and computes in {_list(floats)}: want {_INTEGERS}, and one of {_list(_FLOATS)}")
    return Layout(
        vocabulary=_sizes(outputs["logits"], 3, 2)[0],
        numbers=_FLOATS[floats.pop()],
        past=past,
        caches=tuple((heads, width) for heads, width in (_sizes(inputs[name], 4, 1, 3) for name in past)),
        outputs=("logits", *written),
    )


def _expect(does: str, found: Iterable[str], wanted: Iterable[str]) -> None:
    if set(found) != set(wanted):
        raise BadModel(f"the model {does} {_list(found)}: a decoder with a cache {does} {_list(wanted)}")


def _sizes(value: onnxruntime.NodeArg, rank: int, *axes: int) -> tuple[int, ...]:
    """The sizes of those axes that are the same whatever is read."""
    sizes = tuple(value.shape[axis] for axis in axes) if len(value.shape) == rank else ()
    if not sizes or not all(isinstance(size, int) and size > 0 for size in sizes):
        raise BadModel(f"the model's {value.name} has the shape {value.shape}: want {rank} axes, with fixed sizes where the model has some")
    return sizes


def _list(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed if len(listed) <= 8 else (*listed[:8], f"and {len(listed) - 8} more"))
