"""Checks what a call says of itself before anything is made of it: the blocks, the metadata, and the shapes of its tensors.

Petals and hivemind believe most of it. Their metadata is MessagePack whose tuples are MessagePack again, read by recursion until the
stack ends; a list of blocks may name one a thousand times; and a tensor decoder makes what a dtype or a codebook asks for. So here only
what the stock client sends is let through: blocks in a row, each once, tensors without compression that are as long as their shape
says, and of the metadata what the blocks need, written anew.

Messages are those of hivemind's runtime.proto; only their attributes are used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta, Struct
from msgspec.msgpack import Ext

MOST_METADATA = 1 << 16
"""Bytes. The stock client's take some hundreds."""
MOST_TENSORS = 8
MOST_DIMENSIONS = 4
TUPLE = 0x40
"""The MessagePack extension that holds a Python tuple: hivemind/utils/serializer.py."""
WIDTHS = {"float32": (4,), "float16": (2,), "bfloat16": (2, 4)}
"""Bytes of a number by its dtype; hivemind sends a bfloat16 as a float32."""

Text = Annotated[str, Meta(max_length=64)]


class BadClaim(ValueError):
    """What a call says cannot be: the message says what."""


class Tensor(Protocol):
    """`Tensor` of runtime.proto."""

    buffer: bytes
    dtype: str
    compression: int
    requires_grad: bool

    @property
    def size(self) -> Sequence[int]: ...


class Tensors(Protocol):
    """A repeated field of tensors."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Served:
    """What is hosted: blocks `start` to `end` of a model of width `hidden`, known as `prefix`.

    A call has `most_tokens` at most, in all its rows, and a text `longest` of them.
    """

    prefix: str
    start: int
    end: int
    hidden: int
    most_tokens: int
    longest: int


class Metadata(Struct, kw_only=True, omit_defaults=True):
    """What a call says beside its tensors, and what is needed of it here. `args_structure` says which tensor is which argument."""

    max_length: int | None = None
    session_id: Text | None = None
    step_id: Text | None = None
    pushed: bool | None = None
    active_adapter: str | None = None
    args_structure: Ext | None = None


def blocks_of(uids: str, served: Served) -> range:
    """The blocks that a call is for: `prefix.4 prefix.5`. Raises BadClaim."""
    names = uids.split(" ", served.end - served.start)
    first = next((at for at in range(served.start, served.end) if names[0] == f"{served.prefix}.{at}"), None)
    if first is None or names != [f"{served.prefix}.{at}" for at in range(first, first + len(names))] or first + len(names) > served.end:
        raise BadClaim(f"these are not blocks in a row of {served.prefix} {served.start} to {served.end}")
    return range(first, first + len(names))


def read_metadata(data: bytes) -> Metadata:
    """What the metadata says. Raises BadClaim."""
    if len(data) > MOST_METADATA:
        raise BadClaim(f"{len(data)} bytes of metadata: at most {MOST_METADATA} are read")
    try:
        metadata = msgspec.msgpack.decode(data, type=Metadata) if data else Metadata()
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadClaim(f"metadata: {error}") from error
    if metadata.active_adapter:
        raise BadClaim("no adapters are served")
    return metadata


def order_of(metadata: Metadata, tensors: int) -> list[int]:
    """Which tensor each argument is, by the structure `((b"__T0", b"__T1"), {})`; without one, each in its order. Raises BadClaim."""
    if tensors > MOST_TENSORS:
        raise BadClaim(f"{tensors} tensors: at most {MOST_TENSORS} are read")
    if metadata.args_structure is None:
        return list(range(tensors))
    try:
        packed, named = msgspec.msgpack.decode(_tuple(metadata.args_structure), type=tuple[Ext, dict[str, None]])
        marks = msgspec.msgpack.decode(_tuple(packed), type=Annotated[list[bytes], Meta(max_length=MOST_TENSORS)])
    except msgspec.DecodeError as error:
        raise BadClaim(f"args_structure: {error}") from error
    places = {b"__T%d" % place: place for place in range(tensors)}
    if named or any(mark not in places for mark in marks):
        raise BadClaim(f"args_structure names other arguments than the {tensors} tensors")
    return [places[mark] for mark in marks]


def written(metadata: Metadata) -> bytes:
    """The metadata with what is needed of it, of arguments that stand in their order."""
    kept = Metadata(max_length=metadata.max_length, session_id=metadata.session_id, step_id=metadata.step_id, pushed=metadata.pushed)
    return msgspec.msgpack.encode(kept)


def check_step(tensors: Tensors, blocks: int, served: Served) -> tuple[int, int]:
    """Rows and tokens in each row of a step: hidden states, prompts, hypotheses. Raises BadClaim."""
    _check_number(tensors, 3)
    rows, length = _check_hidden(tensors[0], served)
    _check_prompts(tensors[1], blocks, rows, length, served)
    _check_hypotheses(tensors[2], rows)
    return rows, length


def check_forward(tensors: Tensors, blocks: int, served: Served) -> tuple[int, int]:
    """As check_step, of a forward pass: hidden states, prompts. Raises BadClaim."""
    _check_number(tensors, 2)
    rows, length = _check_hidden(tensors[0], served)
    _check_prompts(tensors[1], blocks, rows, length, served)
    return rows, length


def check_backward(tensors: Tensors, blocks: int, served: Served) -> tuple[int, int]:
    """As check_step, of a backward pass: hidden states, gradients behind the blocks, prompts. Raises BadClaim."""
    _check_number(tensors, 3)
    rows, length = _check_hidden(tensors[0], served)
    if _check_hidden(tensors[1], served) != (rows, length):
        raise BadClaim("gradients of another shape than the hidden states")
    _check_prompts(tensors[2], blocks, rows, length, served)
    return rows, length


def _tuple(packed: Ext) -> bytes:
    if packed.code != TUPLE:
        raise BadClaim(f"args_structure holds an extension {packed.code}: only tuples are read")
    return bytes(packed.data)


def _check_number(tensors: Tensors, wanted: int) -> None:
    if len(tensors) != wanted:
        raise BadClaim(f"{len(tensors)} tensors where {wanted} belong")


def _check_hidden(tensor: Tensor, served: Served) -> tuple[int, int]:
    shape = _shape(tensor)
    if len(shape) != 3 or shape[2] != served.hidden or 0 in shape:
        raise BadClaim(f"hidden states of shape {shape}: rows, tokens, and {served.hidden} numbers belong there")
    rows, length, _ = shape
    if rows * length > served.most_tokens or length > served.longest:
        raise BadClaim(f"{rows} rows of {length} tokens: at most {served.most_tokens} in one call, {served.longest} in a row")
    return rows, length


def _check_prompts(tensor: Tensor, blocks: int, rows: int, length: int, served: Served) -> None:
    """Learnt vectors that are added to the first tokens before each block; mostly there are none."""
    shape = _shape(tensor)
    if 0 in shape:
        return
    if len(shape) != 4 or shape[0] != blocks or shape[1] not in (1, rows) or shape[2] > length or shape[3] != served.hidden:
        raise BadClaim(f"prompts of shape {shape} for {blocks} blocks and hidden states of shape {(rows, length, served.hidden)}")


def _check_hypotheses(tensor: Tensor, rows: int) -> None:
    """Which row of the step before each row goes on from: where one is out of range, a GPU would be lost until the process ends."""
    data = tensor.buffer
    if (tensor.dtype, tensor.compression) != ("int64", 0) or (list(tensor.size[:2]), len(data)) not in (([0], 0), ([rows], 8 * rows)):
        raise BadClaim("hypotheses that are not one int64 for each row")
    if any(not 0 <= row < rows for row in memoryview(data).cast("q")):
        raise BadClaim(f"a hypothesis that is none of {rows} rows")


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape of uncompressed numbers that are all there. Raises BadClaim."""
    if tensor.compression:
        raise BadClaim(f"a tensor with compression {tensor.compression}: this host offers none")
    shape = tuple(tensor.size[: MOST_DIMENSIONS + 1])
    if len(shape) > MOST_DIMENSIONS:
        raise BadClaim(f"a tensor of more than {MOST_DIMENSIONS} dimensions")
    size, numbers = len(tensor.buffer), math.prod(shape)
    if all(size != numbers * width for width in WIDTHS.get(tensor.dtype, ())):
        raise BadClaim(f"{size} bytes are no tensor of shape {shape} and type {tensor.dtype[:16]!r}")
    return shape
